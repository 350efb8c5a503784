"""A training's directory; resumes by the command line are in tests/run/test_runs.py."""

import shutil

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
    assert not (tmp_path / "runs").exists()


def test_a_run_with_a_checkpoint_is_never_removed(tmp_path):
    run = open_run(settings(tmp_path), "")
    (run.path / "checkpoints").mkdir()
    (run.path / "checkpoints" / "best.ckpt").touch()
    run.undo()
    runs.unlock(run.lock)
    assert (run.path / "checkpoints" / "best.ckpt").is_file()
    assert not (run.path / ".lock").exists()


def test_a_missing_checkpoint_makes_no_directory(tmp_path):
    for given in ("last", "best", "no.ckpt"):
        with pytest.raises(UserError, match="ckpt"):
            open_run(settings(tmp_path, given), "")
    assert not (tmp_path / "runs").exists()


def test_a_resumed_run_gets_its_configuration_back(cls_run, tmp_path):
    shutil.copytree(cls_run, tmp_path / "runs" / "cls" / "0")
    before = (tmp_path / "runs" / "cls" / "0" / "config.yaml").read_text()
    for name in ("config.unfinished", "checkpoints/best.ckpt.unfinished"):  # a process that was killed
        (tmp_path / "runs" / "cls" / "0" / name).touch()
    config = settings(tmp_path, "last")
    run = open_run(config, "")
    assert not list(run.path.rglob("*.unfinished"))
    assert run.resumed
    assert run.resumed_step > 0
    assert config.ckpt_path == str(run.path / "checkpoints" / "last.ckpt")
    run.write_config("changed: true\n")
    run.undo()
    runs.unlock(run.lock)
    assert (run.path / "config.yaml").read_text() == before


def test_nothing_goes_on_from_weights_alone(cls_run, tmp_path):
    weights = checkpoint_of(cls_run, "best")
    del weights["optimizer_states"]  # as of a ModelCheckpoint with save_weights_only
    torch.save(weights, tmp_path / "weights.ckpt")
    with pytest.raises(UserError, match=r"only the weights.*--ckpt_path.*`test`"):
        open_run(settings(tmp_path, str(tmp_path / "weights.ckpt")), "")
    assert not (tmp_path / "runs").exists()
    measured = invoke("test", "--run", cls_run, "--ckpt_path", tmp_path / "weights.ckpt")
    assert measured.code == 0, measured.err
