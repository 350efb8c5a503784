"""The progress bar: the loss, the metric that the checkpoint is chosen by, and real tokens a second."""

from __future__ import annotations

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme


class Progress(RichProgressBar):
    """Lightning's rich bar with three figures instead of all.

    Args:
        monitor: The metric that the checkpoint is chosen by.
    """

    def __init__(self, monitor: str | None) -> None:
        super().__init__(refresh_rate=1, leave=False, theme=RichProgressBarTheme(metrics_format=".4g"))
        self.monitor = monitor
        self._shown: dict[str, Any] = {}

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """The figures behind the bar, under short names; read anew only in the steps that are logged.

        To read a loss is to wait until the GPU has computed it.
        """
        if self._shown and trainer.training and trainer.global_step % max(1, trainer.log_every_n_steps):  # type: ignore[attr-defined]
            return self._shown
        logged = trainer.callback_metrics
        metrics: dict[str, Any] = {}
        if "train/loss" in logged:
            metrics["loss"] = f"{logged['train/loss']:.3f}"
        if self.monitor in logged:
            metrics[self.monitor] = f"{logged[self.monitor]:.4f}"
        if "perf/tokens_per_s" in logged:
            metrics["tokens/s"] = f"{logged['perf/tokens_per_s']:,.0f}"
        self._shown = metrics
        return metrics
