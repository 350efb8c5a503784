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

    from lightning_nlp.cli.main import main as command

    for config in ("quickstart.yaml", "quickstart_mlm.yaml"):  # the parser remembers what it has found out of classes
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
            command(["fit", "--config", config, "--print_config"])
    gc.collect()
    gc.freeze()  # a child that looked through it for garbage would get a copy of it all
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a suite runs in the background
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and this one under nohup
    assert threading.active_count() == 1, "a fork has only the thread that forks"
    answer = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        request = json.loads(line)
        started = time.monotonic()
        children = []
        for rank in range(request["processes"]):
            child = os.fork()
            if child == 0:
                answer.close()
                run_child(request, rank)
                return
            children.append(child)
        print(json.dumps({"pids": children}), file=answer)
        codes = {}
        for _ in children:
            child, status = os.wait()
            codes[child] = os.waitstatus_to_exitcode(status)
        result = {"codes": [codes[child] for child in children], "started": started, "ended": time.monotonic()}
        print(json.dumps(result), file=answer)


def run_child(request: dict[str, Any], rank: int) -> None:
    """Be the child: what it prints goes to files, and a SystemExit ends the process."""
    from lightning.pytorch.utilities.rank_zero import rank_zero_only
    from torch import distributed

    from lightning_nlp.cli.main import main as command
    from tests.faults.points import Trace, install

    for descriptor, name in enumerate((os.devnull, f"{request['out']}{rank}", f"{request['err']}{rank}")):
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(name, flags), descriptor)
    os.chdir(request["cwd"])
    if request["processes"] > 1:  # what torchrun tells its processes, but that the first has the store
        os.environ |= request["environment"] | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        rank_zero_only.rank = rank  # found when Lightning was imported
    install(Trace(Path(f"{request['trace']}{rank}"), request["point"] if rank == request["rank"] else None))
    command(request["arguments"])
    if distributed.is_initialized():  # its threads abort one process in a hundred that ends with them
        sys.exit("the process group is still there")


if __name__ == "__main__":
    main()
