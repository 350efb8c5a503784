"""Who does a thing first; whole trainings of several processes are in tests/faults/test_processes.py."""

import pytest
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch.distributed import HashStore

from lightning_nlp.errors import UserError
from lightning_nlp.run import processes


@pytest.fixture
def rank(monkeypatch):
    def be(number, local=None, node=0):
        monkeypatch.setattr(rank_zero_only, "rank", number)
        monkeypatch.setenv("LOCAL_RANK", str(number if local is None else local))
        monkeypatch.setenv("GROUP_RANK", str(node))

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


def test_torchruns_processes_share_results_and_failures(rank, monkeypatch):
    store = HashStore()
    monkeypatch.setattr(processes, "_store", lambda: store)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    for place in ((0, 0, 0), (1, 1, 0), (2, 0, 1)):
        rank(*place)
        assert processes.once("one", lambda number=place[0]: f"by {number}") == "by 0"
        node = processes.once("each", lambda number=place[0]: f"by {number}", on_node=True)
        assert node == ("by 2" if place[2] else "by 0")
        with pytest.raises(ZeroDivisionError if place[0] == 0 else processes.MainProcessFailed, match="zero"):
            processes.once("bad", lambda: str(1 / 0))
