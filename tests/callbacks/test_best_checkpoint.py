import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from lightning_nlp.callbacks.best_checkpoint import BestCheckpoint, cure_without_validation
from lightning_nlp.run.runs import training_part
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


OLD = {  # what an earlier version's config.yaml had of Lightning's own two
    "checkpoint": "verbose false save_last null save_top_k 1 save_on_exception false save_weights_only false "
    "auto_insert_metric_name false every_n_train_steps null train_time_interval null every_n_epochs null "
    "save_on_train_epoch_end false enable_version_counter false filename best",
    "early_stopping": "verbose false strict true check_finite true stopping_threshold null divergence_threshold null "
    "check_on_train_epoch_end false log_rank_zero_only false",
}
OLD_KEYS = {
    "BestCheckpoint": "ModelCheckpoint{'monitor': 'val/accuracy', 'mode': 'max', 'every_n_train_steps': 0, "
    "'every_n_epochs': 1, 'train_time_interval': None}",
    "EarlyStop": "EarlyStopping{'monitor': 'val/accuracy', 'mode': 'max'}",
}


def make_old(run: Path, score: float, **more: object) -> None:
    """Turn a run into one of an earlier version, whose best score and patience nothing can better."""
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    for section, words in OLD.items():
        pairs = words.split()
        config[section] |= {name: yaml.safe_load(value) for name, value in zip(pairs[::2], pairs[1::2], strict=True)}
    config["checkpoint"] |= {"dirpath": str(run / "checkpoints")} | more
    config["trainer"] = {name: value for name, value in config["trainer"].items() if value is not None}
    config["trainer"]["default_root_dir"] = str(run)
    (run / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    for name in ("best", "last"):
        content = checkpoint_of(run, name)
        for new, old in OLD_KEYS.items():
            (key,) = [key for key in content["callbacks"] if key.startswith(new)]
            content["callbacks"][old] = content["callbacks"].pop(key)
        state = content["callbacks"][OLD_KEYS["BestCheckpoint"]]
        state["best_model_score"] = torch.tensor(score)
        state["best_k_models"] = {path: torch.tensor(score) for path in state["best_k_models"]}
        state["kth_best_model_path"] = "" if more else state["kth_best_model_path"]  # as with save_top_k 3
        content["callbacks"][OLD_KEYS["EarlyStop"]]["best_score"] = torch.tensor(score)
        torch.save(content, run / "checkpoints" / f"{name}.ckpt")


@pytest.mark.parametrize("more", [{}, {"save_top_k": 3}], ids=str)
def test_a_run_of_an_earlier_version_goes_on_and_is_measured(more, tiny_cls, tmp_path):
    arguments = [*tiny_cls, "--runs_dir", tmp_path]
    run = invoke("fit", *arguments, "--trainer.max_epochs", "1").run
    new = (run / "config.yaml").read_text(encoding="utf-8")
    make_old(run, 2.0, **more)
    assert training_part((run / "config.yaml").read_text(encoding="utf-8")) == training_part(new)
    measured = invoke("test", "--run", run)
    assert measured.code == 0, measured.err
    best = (run / "checkpoints" / "best.ckpt").read_bytes()
    resumed = invoke("fit", *arguments, "--trainer.max_epochs", "4", "--ckpt_path", "last")
    assert resumed.run == run, resumed.err
    assert (run / "checkpoints" / "best.ckpt").read_bytes() == best, "nothing was better than its score"
    assert checkpoint_of(run, "last")["global_step"] == 3 * 7, "its patience of 2 was over"
    if not more:
        again = invoke("fit", "--config", run / "config.yaml", "--runs_dir", tmp_path / "other")
        assert again.code == 0, again.err


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
