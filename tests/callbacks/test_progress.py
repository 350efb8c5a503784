import re
from types import SimpleNamespace

import pytest

from lightning_nlp.callbacks.best_checkpoint import BestCheckpoint
from lightning_nlp.callbacks.progress import PlainProgress, Plan, duration
from tests.conftest import checkpoint_of, invoke, read_metrics, without


def fake_trainer(**more):
    loop = SimpleNamespace(batch_progress=SimpleNamespace(is_last_batch=True))
    figures = {"callback_metrics": {}, "training": True, "global_step": 3, "log_every_n_steps": 10}
    return SimpleNamespace(**figures, fit_loop=SimpleNamespace(epoch_loop=loop), **more)


def test_the_time_left_follows_from_the_steps_of_this_process(monkeypatch):
    now = iter([100.0, 120.0, 180.0])
    monkeypatch.setattr("lightning_nlp.callbacks.progress.time.monotonic", lambda: next(now))
    plan, trainer = Plan(BestCheckpoint(None)), SimpleNamespace(global_step=0)
    plan.total = 100
    lefts = []
    for step in (0, 51, 55, 60):  # resumed after 50: the step that comes first does not count
        trainer.global_step = step
        lefts.append(plan.left(trainer))
    assert lefts == [None, None, pytest.approx(20 / 4 * 45), pytest.approx(80 / 9 * 40)]
    plan.total = None
    assert plan.left(trainer) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (93_784, "26 h 03 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_without_a_terminal_there_are_plain_lines(tiny_cls, tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_nlp.callbacks.progress.ESTIMATE_AFTER", 3)
    arguments = without(tiny_cls, "--trainer.enable_progress_bar")
    outcome = invoke("fit", *arguments, "--trainer.max_epochs", "1", "--runs_dir", tmp_path)
    assert not {"\r", "\x1b"} & set(outcome.err + outcome.out)
    lines = outcome.err.splitlines()
    (plan,) = [line for line in lines if line.startswith("Training: ")]
    weights = checkpoint_of(outcome.run, "best")["state_dict"]
    parameters = sum(weight.numel() for name, weight in weights.items() if name.startswith("network."))
    assert f" {parameters:,} parameters" in plan
    validated = [row for row in read_metrics(outcome.run) if row["val/accuracy"]]
    said = [line for line in lines if re.match(r"step \d+/7  epoch", line)]
    assert len(said) == len(validated) == 1
    assert plan.endswith("at most 7 steps in 1 epoch.")
    for line, row in zip(said, validated, strict=True):
        assert f"val/accuracy {float(row['val/accuracy']):.4f}" in line
    assert len([line for line in lines if line.startswith("The training may take ")]) == 1
    assert outcome.out.splitlines()[-1] == str(outcome.run)


def test_lines_in_between_come_at_log_steps_when_the_last_is_old(monkeypatch):
    said, clock = [], [0.0]
    monkeypatch.setattr("lightning_nlp.callbacks.progress.rank_zero_info", said.append)
    monkeypatch.setattr("lightning_nlp.callbacks.progress.time.monotonic", lambda: clock[0])
    lines = PlainProgress(Plan(BestCheckpoint(None)), seconds=30.0)
    trainer = fake_trainer(current_epoch=0)
    for step in range(1, 101):
        clock[0], trainer.global_step = 1.7 * step, step
        lines.on_train_batch_end(trainer, None, None, None, 0)
    assert [int(line.split()[1]) for line in said] == [20, 40, 60, 80, 100]


def test_quiet_leaves_the_result_alone(tiny_cls, tmp_path):
    outcome = invoke("fit", *tiny_cls, "--quiet", "true", "--trainer.max_epochs", "1", "--runs_dir", tmp_path)
    assert outcome.out.splitlines() == [str(outcome.run)]
    assert outcome.err == ""
    assert "\nquiet:" not in (outcome.run / "config.yaml").read_text(encoding="utf-8")
