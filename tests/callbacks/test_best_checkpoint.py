import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lightning_nlp.callbacks.best_checkpoint import BestCheckpoint, cure_without_validation
from tests.conftest import checkpoint_of, invoke, read_metrics


@pytest.mark.parametrize(("mode", "best"), [("max", 0.9), ("min", 0.4)])
def test_the_best_counts_the_validation_that_has_just_ended(mode, best):
    checkpoint = BestCheckpoint("val/x", mode)
    trainer = SimpleNamespace(callback_metrics={})
    assert checkpoint.best_so_far(trainer) is None
    for value in (0.5, 0.9, 0.4):
        trainer.callback_metrics = {"val/x": torch.tensor(value)}
        found = checkpoint.best_so_far(trainer)
        checkpoint.best_model_score = torch.tensor(found)
    assert found == pytest.approx(best)


@pytest.mark.parametrize(
    ("mode", "value", "best", "expected"), [("max", 0.9, 0.8, True), ("max", 0.8, 0.8, False), ("min", 0.9, 0.8, False)]
)
def test_would_take_what_is_better(mode, value, best, expected):
    checkpoint = BestCheckpoint("val/x", mode)
    trainer = SimpleNamespace(callback_metrics={"val/x": torch.tensor(value)})
    assert checkpoint.would_take(trainer), "the first"
    checkpoint.best_model_score = torch.tensor(best)
    assert checkpoint.would_take(trainer) is expected
    assert BestCheckpoint(None).would_take(trainer), "no choice: the last counts"


NO_VALIDATION = r"No validation comes in this training, so best.ckpt is its last state: give (--.*) for some\."


@pytest.mark.parametrize(
    "arguments",
    [
        "--trainer.limit_val_batches 0",
        "--trainer.check_val_every_n_epoch 3",
        "--trainer.check_val_every_n_epoch 2 --trainer.max_steps 3 --trainer.accumulate_grad_batches 2",
    ],
)
def test_no_validation_is_told_with_what_brings_one(arguments, tiny_cls, tmp_path):
    arguments = arguments.split()
    outcome = invoke("fit", *tiny_cls, *arguments, "--runs_dir", tmp_path, "--quiet", "true")
    (cure,) = re.findall(NO_VALIDATION, outcome.err)
    assert not [row for row in read_metrics(outcome.run) if row.get("val/loss")]
    assert checkpoint_of(outcome.run, "best")["global_step"] == checkpoint_of(outcome.run, "last")["global_step"]
    cured = invoke("fit", *tiny_cls, *arguments, *cure.split(), "--runs_dir", tmp_path)
    assert not re.search(NO_VALIDATION, cured.err)
    assert [row for row in read_metrics(cured.run) if row["val/loss"]]


def trainer(**more: object) -> SimpleNamespace:
    usual = {"limit_val_batches": 1.0, "enable_validation": True, "val_check_batch": 38, "num_training_batches": 38}
    usual |= {"check_val_every_n_epoch": 1, "accumulate_grad_batches": 1, "max_steps": -1, "max_epochs": 2}
    return SimpleNamespace(**usual | more)


@pytest.mark.parametrize(
    ("settings", "cure"),
    [
        ({}, None),
        ({"max_steps": 38}, None),
        ({"max_steps": 37}, "--trainer.val_check_interval 18"),
        ({"max_steps": 1}, "--trainer.val_check_interval 1"),
        ({"max_steps": 10, "accumulate_grad_batches": 4}, None),
        ({"max_steps": 9, "accumulate_grad_batches": 4}, "--trainer.val_check_interval 18"),
        ({"max_steps": 9, "accumulate_grad_batches": 4, "val_check_batch": 19}, None),
        ({"check_val_every_n_epoch": 2}, None),
        ({"check_val_every_n_epoch": 3}, "--trainer.check_val_every_n_epoch 1"),
        ({"check_val_every_n_epoch": 3, "max_epochs": -1, "max_steps": 114}, None),
        ({"check_val_every_n_epoch": 3, "max_epochs": -1, "max_steps": 113}, "--trainer.check_val_every_n_epoch 1"),
        ({"check_val_every_n_epoch": None, "val_check_batch": 76}, None),
        ({"check_val_every_n_epoch": None, "val_check_batch": 77}, "--trainer.val_check_interval 19"),
        ({"max_epochs": -1}, None),
        ({"max_steps": 1, "val_check_batch": None}, None),  # by the clock
        ({"max_steps": 1, "val_check_batch": float("inf")}, None),
        ({"max_steps": 1, "enable_validation": False}, None),  # a data module without that part
    ],
)
def test_when_the_first_validation_comes(settings, cure):
    assert cure_without_validation(trainer(**settings)) == cure


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
