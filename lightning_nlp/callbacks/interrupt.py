"""Signals that end a training: which they are, and what is raised."""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from lightning_nlp.errors import UserError

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
# Windows has no names for SIGHUP, nor for SIGALRM, which stands for a time limit.
HANGUP, TIME_LIMIT = 1, 14


class Interrupted(Exception):
    """Raised out of `fit` once a signal, or a time limit (`TIME_LIMIT`), has ended it and the checkpoint is written."""

    can_go_on = True
    _render_traceback_ = UserError._render_traceback_

    def __init__(self, checkpoint: Path, step: int, number: int) -> None:
        reason = "The time limit is reached" if number == TIME_LIMIT else "Interrupted"
        super().__init__(f"{reason} after step {step}; saved {checkpoint}.")
        self.number = number


def heeded_signals() -> list[int]:
    """All but those that are ignored, as SIGHUP is under `nohup`."""
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]


@contextlib.contextmanager
def exit_on_signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM raise SystemExit(128 + number), so that everything cleans up after itself.

    Lightning turns a KeyboardInterrupt into exit code 1, and SIGTERM kills Python on the spot.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, leave) for number in heeded_signals()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
