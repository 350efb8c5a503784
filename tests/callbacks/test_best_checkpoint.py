import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lightning_nlp.callbacks.best_checkpoint import BestCheckpoint
from tests.conftest import checkpoint_of, invoke, read_metrics


@pytest.mark.parametrize(("mode", "best", "taken"), [("max", 0.9, [1, 1, 0, 0]), ("min", 0.4, [1, 0, 0, 1])])
def test_the_best_counts_the_validation_that_has_just_ended(mode, best, taken):
    checkpoint, took = BestCheckpoint("val/x", mode), []
    trainer = SimpleNamespace(callback_metrics={})
    assert checkpoint.best_so_far(trainer) is None
    for value in (0.5, 0.9, 0.9, 0.4):
        trainer.callback_metrics = {"val/x": torch.tensor(value)}
        took.append(checkpoint.would_take(trainer))
        found = checkpoint.best_so_far(trainer)
        checkpoint.best_model_score = torch.tensor(found)
    assert found == pytest.approx(best)
    assert took == taken
    assert BestCheckpoint(None).would_take(trainer), "no choice: the last counts"


def best_of(run: Path) -> tuple[int, float]:
    """The step of best.ckpt, and the value that facts.json has of it, which metrics.csv must have for that step."""
    facts, step = json.loads((run / "facts.json").read_text()), checkpoint_of(run, "best")["global_step"]
    ((name, value),) = facts["validation"].items()
    (row,) = [row for row in read_metrics(run) if row[name] and int(row["step"]) == step - 1]
    assert (facts["checkpoint_step"], value) == (step, pytest.approx(float(row[name]), abs=1e-6))
    return step, value


def test_the_best_from_before_a_resume_stays_the_best_also_where_the_run_was_moved(tiny_cls, tmp_path):
    choice = [*tiny_cls, "--checkpoint.monitor", "val/loss", "--checkpoint.mode", "min"]
    run = invoke("fit", *choice, "--trainer.max_epochs", "1", "--runs_dir", tmp_path / "a").run
    found = best_of(run)
    (tmp_path / "a").rename(tmp_path / "b")
    resumed = invoke("fit", *choice, "--model.lr", "9", "--runs_dir", tmp_path / "b", "--ckpt_path", "last")
    assert best_of(resumed.run) == found
    assert re.search(f"best val/loss +. +{found[1]:.4f} ", resumed.out)
    (resumed.run / "checkpoints" / "best.ckpt").unlink()
    more = ["--model.lr", "9", "--trainer.max_epochs", "3", "--runs_dir", tmp_path / "b", "--ckpt_path", "last"]
    assert best_of(invoke("fit", *choice, *more).run)[0] == 21, "a file that is gone is not the best"


def test_a_best_that_another_metric_chose_is_not_lost(tiny_cls, tmp_path):
    run = invoke("fit", *tiny_cls, "--trainer.max_epochs", "1", "--runs_dir", tmp_path).run
    best = (run / "checkpoints" / "best.ckpt").read_bytes()
    other = [*tiny_cls, "--runs_dir", tmp_path, "--checkpoint.monitor", "val/loss", "--checkpoint.mode", "min"]
    refused = invoke("fit", *other, "--ckpt_path", "last")
    assert refused.code == 2
    cures = re.search(r"chosen by val/accuracy, and not by val/loss: go on with (.*), or with (.*), which", refused.err)
    assert (run / "checkpoints" / "best.ckpt").read_bytes() == best
    assert invoke("fit", *other, *cures[2].split()).run != run
    assert invoke("fit", *other, "--ckpt_path", run / "checkpoints" / "last.ckpt", *cures[1].split()).run == run
