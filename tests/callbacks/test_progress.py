"""The progress bar's three figures."""

from types import SimpleNamespace

import torch

from lightning_nlp.callbacks.progress import Progress
from tests.conftest import invoke


def test_only_figures_that_are_there():
    trainer = SimpleNamespace(callback_metrics={}, training=True, global_step=3, log_every_n_steps=10)
    bar = Progress("val/accuracy")
    assert bar.get_metrics(trainer, None) == {}
    trainer.callback_metrics = {
        "train/loss": torch.tensor(0.12345),
        "val/accuracy": torch.tensor(0.87654),
        "val/f1": torch.tensor(0.5),
        "perf/tokens_per_s": torch.tensor(12345.6),
    }
    assert bar.get_metrics(trainer, None) == {"loss": "0.123", "val/accuracy": "0.8765", "tokens/s": "12,346"}


def test_no_monitor_no_figure():
    trainer = SimpleNamespace(callback_metrics={"val/loss": torch.tensor(1.0)})
    assert Progress(None).get_metrics(trainer, None) == {}


def test_a_loss_is_read_only_where_it_is_logged():
    trainer = SimpleNamespace(training=True, global_step=10, log_every_n_steps=10)
    bar = Progress(None)
    shown = []
    for step in range(10, 22):
        trainer.global_step, trainer.callback_metrics = step, {"train/loss": torch.tensor(float(step))}
        shown.append(bar.get_metrics(trainer, None)["loss"])
    assert shown == ["10.000"] * 10 + ["20.000"] * 2
    trainer.training = False  # the end of a validation
    assert bar.get_metrics(trainer, None)["loss"] == "21.000"


def test_a_training_shows_them(tiny_cls, tmp_path):
    outcome = invoke("fit", *tiny_cls, "--trainer.enable_progress_bar", "true", "--runs_dir", tmp_path)
    assert outcome.code == 0, outcome.err
    assert "Epoch" in outcome.out
    assert "loss:" in outcome.out
