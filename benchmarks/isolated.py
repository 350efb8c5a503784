"""Parts of a measurement in another process, each under a time limit: none takes the others with it."""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from argparse import Namespace
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

Row = dict[str, Any]


class Part(NamedTuple):
    """What is measured together."""

    name: str
    title: str
    seconds: float  # its time limit
    measure: str  # module:function, a generator of rows; imported in the other process alone
    fresh: bool = False  # needs a process that has computed nothing yet


class LeftOut(Exception):
    """Raised by a part that cannot be measured here, though nothing is wrong; says why."""


def row(what: str, result: str, **numbers: Any) -> Row:
    """A line of the table, and the numbers behind it."""
    return {"what": what, "result": result, **numbers}


def attempt(what: str, measure: Callable[[], Row]) -> Row:
    """What `measure` returns, or a row that says why it failed: the next one is measured all the same."""
    import torch

    try:
        return measure()
    except Exception as error:
        traceback.print_exc()
        return row(what, f"**failed**: {in_words(error)}", failed=True)
    finally:
        gc.collect()
        if torch.cuda.is_initialized():
            with contextlib.suppress(RuntimeError):  # after an illegal access all that asks the device fails
                torch.cuda.empty_cache()


def in_words(error: BaseException) -> str:
    """An error on one line that a table can hold."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:400].replace("|", "\\|")


class Worker:
    """A process that measures one part after another: what it has imported serves them all. Its words go to `log`."""

    def __init__(self, options: Namespace, log: Path) -> None:
        context: Any = multiprocessing.get_context("spawn")  # no fork: CUDA would not work in one
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_child, args=(theirs, options, log))
        self.process.start()
        theirs.close()
        self.usable = True

    def measure(self, part: Part, limit: float, folder: Path) -> dict[str, Any]:
        """Measure a part; when the time is over, the process is killed with all its children.

        Returns:
            `part`, `title`, `state` (done, failed, left out, out of time, interrupted), `reason`, `seconds`, and the
            `rows` so far, which are kept in `folder` until then.
        """
        found, begin = folder / f"{part.measure.replace(':', '.')}.jsonl", time.monotonic()
        late, reason = False, f"{limit:.0f} s were not enough"
        try:
            with contextlib.suppress(EOFError, ConnectionError):  # it has died
                self.pipe.send((part.measure, found))
                late = not wait([self.pipe, self.process.sentinel], limit)
                if not late:
                    self.pipe.recv()
        except (KeyboardInterrupt, SystemExit):
            reason = "by a signal"
        rows = [json.loads(line) for line in found.read_text(encoding="utf-8").splitlines()] if found.is_file() else []
        ended = rows.pop() if rows and "state" in rows[-1] else {}
        # an illegal access spoils all that a process asks of the device afterwards
        failed = ended.get("state") not in ("done", "left out") or any(row.get("failed") for row in rows)
        self.usable = not failed and not late
        if not self.usable:
            self.end()
        if reason == "by a signal":
            ended = {"state": "interrupted", "reason": reason}
        elif not ended and late:
            ended = {"state": "out of time", "reason": reason}
        elif not ended:
            ended = {"state": "failed", "reason": f"its process ended with exit code {self.process.exitcode}"}
        return {"part": part.name, "title": part.title, **ended, "seconds": time.monotonic() - begin, "rows": rows}

    def end(self) -> None:
        """End the process and its children: data loaders' workers and other commands too."""
        if self.process.exitcode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.kill()  # where it has no group yet
        self.process.join(10)  # a process in the driver's hands may not die at once


def _child(pipe: Connection, options: Namespace, log: Path) -> None:
    """Measure what the pipe asks for, until it ends: write each row as it comes, then how it ended."""
    os.setsid()
    with log.open("ab") as words:
        os.dup2(words.fileno(), 1)
        os.dup2(words.fileno(), 2)
    with contextlib.suppress(EOFError):
        while True:
            measure, found = pipe.recv()
            module, function = measure.split(":")
            state, reason = "done", ""
            with found.open("w", encoding="utf-8", buffering=1) as file:
                try:
                    for entry in getattr(importlib.import_module(module), function)(options):
                        file.write(json.dumps(entry) + "\n")
                except LeftOut as why:
                    state, reason = "left out", str(why)
                except BaseException as error:
                    traceback.print_exc()
                    state, reason = "failed", in_words(error)
                file.write(json.dumps({"state": state, "reason": reason}) + "\n")
            sys.stdout.flush()
            pipe.send("over")
