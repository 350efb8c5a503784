"""A process that has imported the program once, and forks a child for each command: `python -m tests.faults.server`.

The imports take some seconds and a training of the tests one, so that hundreds of them take minutes. A child is a
process like any other: it has a process id, is killed, and leaves what a killed process leaves.

A request is a line of JSON on stdin; the answers are two on stdout: the child's process id, and how it ended.
"""

import contextlib
import gc
import io
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Answer requests until stdin ends."""
    import pandas  # noqa: F401  # what a training imports late
    import pyarrow.ipc  # noqa: F401
    from transformers import AutoTokenizer, DistilBertForMaskedLM, DistilBertForSequenceClassification  # noqa: F401

    from lightning_nlp.cli import main as command

    for config in ("quickstart.yaml", "quickstart_mlm.yaml"):  # the parser remembers what it has found out of classes
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            command(["fit", "--config", config, "--print_config"])
    gc.collect()
    gc.freeze()  # a child that looked through it for garbage would get a copy of it all
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a suite runs in the background
    assert threading.active_count() == 1, "a fork has only the thread that forks"
    answer = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        request = json.loads(line)
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            answer.close()
            run_child(request)
            return
        print(json.dumps({"pid": child}), file=answer)
        _, status, used = os.wait4(child, 0)
        ended = time.monotonic()
        result = {"code": os.waitstatus_to_exitcode(status), "started": started, "ended": ended}
        print(json.dumps({**result, "cpu_seconds": used.ru_utime + used.ru_stime}), file=answer)


def run_child(request: dict[str, Any]) -> None:
    """Be the child: what it prints goes to files, and a SystemExit ends the process."""
    from lightning_nlp.cli import main as command
    from tests.faults.points import Trace, install

    for descriptor, name in enumerate((os.devnull, request["out"], request["err"])):
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(name, flags), descriptor)
    os.chdir(request["cwd"])
    install(Trace(Path(request["trace"]), request["point"]))
    command(request["arguments"])


if __name__ == "__main__":
    main()
