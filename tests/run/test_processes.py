"""Who does a thing first; whole trainings of several processes are in tests/faults/test_processes.py."""

import os
import socket
import subprocess
import sys

import pytest
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from lightning_nlp.errors import UserError
from lightning_nlp.run import processes


@pytest.fixture
def rank(monkeypatch):
    def be(number):
        monkeypatch.setattr(rank_zero_only, "rank", number)
        monkeypatch.setenv("LOCAL_RANK", str(number))

    for name in ("TORCHELASTIC_RUN_ID", processes.VARIABLE + "thing"):
        monkeypatch.delenv(name, raising=False)
    return be


def test_what_lightning_starts_inherits_the_result(rank, monkeypatch):
    rank(0)
    monkeypatch.setenv(processes.VARIABLE + "thing", "")  # so that it is taken away again
    assert processes.is_main_process()
    assert not processes.started_by_lightning()
    assert processes.once("thing", lambda: "made") == "made"
    rank(1)
    assert not processes.is_main_process()
    assert processes.started_by_lightning()
    assert processes.once("thing", lambda: pytest.fail("done twice")) == "made"


def test_processes_that_another_program_started_are_told_of_torchrun(rank):
    rank(1)
    with pytest.raises(UserError, match="start torchrun on each machine instead"):
        processes.once("thing", lambda: pytest.fail("done twice"))


SCRIPT = """
import sys
from lightning_nlp.run import processes

def fail():
    raise ValueError("no room")

print(processes.once("one", lambda: "by " + sys.argv[1]))
print(processes.once("each", lambda: "on " + sys.argv[1], on_node=True))
try:
    processes.once("bad", fail)
except (ValueError, processes.MainProcessFailed) as error:
    print(type(error).__name__, error)
sys.stdin.read()  # the first process has the store
"""


@pytest.mark.acceptance  # its short form is each training of tests/faults/test_processes.py
def test_torchruns_processes_wait_for_the_main_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = {"TORCHELASTIC_RUN_ID": "test", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "3"}
    processes = []
    for rank, local, node in ((0, 0, 0), (1, 1, 0), (2, 0, 1)):
        own = {"RANK": str(rank), "LOCAL_RANK": str(local), "GROUP_RANK": str(node)}
        environment = os.environ | together | own
        command = [sys.executable, "-c", SCRIPT, str(rank)]
        pipes = {"stdin": subprocess.DEVNULL if rank else subprocess.PIPE, "stdout": subprocess.PIPE}
        processes.append(subprocess.Popen(command, env=environment, text=True, **pipes))
    said = [process.communicate(timeout=120)[0].splitlines() for process in reversed(processes)][::-1]
    assert said == [
        ["by 0", "on 0", "ValueError no room"],
        ["by 0", "on 0", "MainProcessFailed no room"],
        ["by 0", "on 2", "MainProcessFailed no room"],
    ]
