"""A training's directory; resumes by the command line are in tests/run/test_runs.py."""

import pytest
import torch
from jsonargparse import Namespace

from lightning_nlp.errors import UserError
from lightning_nlp.run import runs
from lightning_nlp.run.directory import open_run
from tests.conftest import checkpoint_of, files_below, invoke


def settings(tmp_path, ckpt_path=None):
    model = Namespace(class_path="SequenceClassifier")
    return Namespace(runs_dir=str(tmp_path / "runs"), name="cls", resume=None, ckpt_path=ckpt_path, model=model)


def test_a_new_run_is_locked_and_undone_without_a_trace(tmp_path):
    run = open_run(settings(tmp_path), "")
    assert run.path == tmp_path / "runs" / "cls" / "0"
    assert not run.resumed
    run.write_config("# the command\nseed_everything: 1\n")
    assert (run.path / "config.yaml").read_text() == "# the command\nseed_everything: 1\n"
    other = open_run(settings(tmp_path), "")
    assert other.path.name == "1"
    run.undo()
    other.undo()
    assert files_below(tmp_path) == set()
    run = open_run(settings(tmp_path), "")
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints" / "best.ckpt").touch()
    run.undo()
    runs.unlock(run.lock)
    assert files_below(run.path) == {"checkpoints", "checkpoints/best.ckpt"}, "with a checkpoint it stays"


def test_a_missing_checkpoint_makes_no_directory(tmp_path):
    for given in ("last", "best", "no.ckpt"):
        with pytest.raises(UserError, match="ckpt"):
            open_run(settings(tmp_path, given), "")
    assert not (tmp_path / "runs").exists()


def test_nothing_goes_on_from_weights_alone(cls_run, tmp_path):
    weights = checkpoint_of(cls_run, "best")
    del weights["optimizer_states"]  # as of a ModelCheckpoint with save_weights_only
    torch.save(weights, tmp_path / "weights.ckpt")
    with pytest.raises(UserError, match=r"only weights.*--ckpt_path.*`test`"):
        open_run(settings(tmp_path, str(tmp_path / "weights.ckpt")), "")
    assert not (tmp_path / "runs").exists()
    measured = invoke("test", "--run", cls_run, "--ckpt_path", tmp_path / "weights.ckpt")
    assert measured.code == 0, measured.err
