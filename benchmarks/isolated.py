"""Parts of a measurement, each in a process of its own under a time limit: none takes the others with it."""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

Row = dict[str, Any]


class Part(NamedTuple):
    """What is measured together."""

    name: str
    title: str
    seconds: float  # its time limit
    measure: str  # module:function, a generator of rows; imported in the part's own process alone


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


def run(part: Part, options: Namespace, *, limit: float, log: Path, folder: Path, method: str) -> dict[str, Any]:
    """Measure one part in a process of its own, and kill it with all its children when its time is over.

    Args:
        part: What to measure.
        options: Handed to its function.
        limit: Seconds.
        log: Where the process's words go, after what is there.
        folder: Where the rows are kept until the part is over.
        method: How the process starts, as `multiprocessing` names it.

    Returns:
        `part`, `title`, `state` (done, failed, left out, out of time, interrupted), `reason`, `seconds`, and the `rows`
        so far.
    """
    found = folder / f"{part.measure.replace(':', '.')}.jsonl"
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=_child, args=(part.measure, options, found, log))
    begin = time.monotonic()
    process.start()
    reason = f"{limit:.0f} s were not enough"
    try:
        process.join(limit)
    except (KeyboardInterrupt, SystemExit):
        reason = "by a signal"
    if late := process.is_alive():
        _kill(process)
    rows = [json.loads(line) for line in found.read_text(encoding="utf-8").splitlines()] if found.is_file() else []
    ended = rows.pop() if rows and "state" in rows[-1] else {}
    if reason == "by a signal":
        ended = {"state": "interrupted", "reason": reason}
    elif not ended and late:
        ended = {"state": "out of time", "reason": reason}
    elif not ended:
        ended = {"state": "failed", "reason": f"its process ended with exit code {process.exitcode}"}
    return {"part": part.name, "title": part.title, **ended, "seconds": time.monotonic() - begin, "rows": rows}


def _kill(process: Any) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # data loaders' workers and other commands too
    process.kill()  # where it has no group yet
    process.join(10)  # a process in the driver's hands may not die at once


def _child(measure: str, options: Namespace, found: Path, log: Path) -> None:
    """Write each row as it comes, then how it ended."""
    os.setsid()
    with log.open("ab") as words:
        os.dup2(words.fileno(), 1)
        os.dup2(words.fileno(), 2)
    with found.open("w", encoding="utf-8", buffering=1) as file:
        state, reason = "done", ""
        try:
            for entry in _generator(measure)(options):
                file.write(json.dumps(entry) + "\n")
        except LeftOut as why:
            state, reason = "left out", str(why)
        except BaseException as error:
            traceback.print_exc()
            state, reason = "failed", in_words(error)
        file.write(json.dumps({"state": state, "reason": reason}) + "\n")
    sys.stdout.flush()


def _generator(measure: str) -> Callable[[Namespace], Iterator[Row]]:
    module, function = measure.split(":")
    return getattr(__import__(module, fromlist=[function]), function)
