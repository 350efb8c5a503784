import json

import pytest

from lightning_nlp.inspection.steps import WARM_UP, measuring_trainer
from tests.conftest import files_below, invoke, write_reviews


@pytest.mark.parametrize("task", ["cls", "mlm"])
def test_real_steps_are_measured_and_leave_nothing_behind(task, request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = invoke("inspect", *request.getfixturevalue(f"tiny_{task}"), "--steps", "3", "--json", "facts.json")
    assert outcome.code == 0, outcome.err
    assert files_below(tmp_path) == {"facts.json"}
    step = json.loads((tmp_path / "facts.json").read_text(encoding="utf-8"))["step"]
    assert step["steps"] == 3
    assert 0 < step["fastest"] <= step["step_seconds"] <= step["slowest"]
    assert step["batches_per_epoch"] == {"cls": 7, "mlm": 9}[task]
    assert step["epochs"] == 2
    # the whole epoch, from three of its batches of about equal size
    expected = step["batches_per_epoch"] * (step["fastest"] + step["step_seconds"] + step["slowest"]) / 3
    assert step["epoch_seconds"] == pytest.approx(expected, rel=0.3)
    assert step["memory_gib"] > 0.05
    assert step["cpu_share"] > 0
    assert step["tolerance"] >= 0.25
    assert f"± {step['tolerance']:.0%}" in outcome.out


def test_too_few_batches_are_said(tiny_cls, tmp_path):
    arguments = ["--data.path", write_reviews(tmp_path / "few.csv", 30), "--data.batch_size", "64"]
    outcome = invoke("inspect", *tiny_cls, *arguments, "--steps", "1")
    assert outcome.code == 0, outcome.err
    assert "not measured: an epoch is too short" in outcome.out


def test_the_measuring_trainer_keeps_what_bears_on_speed():
    settings = {"precision": "64-true", "max_steps": 500, "max_time": "00:00:00:01", "accelerator": "cpu"}
    trainer = measuring_trainer(settings, 4)
    assert trainer.precision == "64-true"
    assert (trainer.max_steps, trainer.max_epochs, trainer.loggers) == (-1, 1, [])
    assert trainer.limit_train_batches == WARM_UP + 4
    assert trainer.checkpoint_callback is None
