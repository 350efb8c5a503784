"""How far a training is, as a bar on a terminal."""

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme

from lightning_nlp.callbacks.progress import Plan
from lightning_nlp.training.schedules import is_log_step


class Progress(RichProgressBar):
    """Lightning's rich bar, on stderr, with few figures instead of all: one line of 80 columns."""

    def __init__(self, plan: Plan) -> None:
        theme = RichProgressBarTheme(metrics_format=".4g", metrics_text_delimiter=" ")
        super().__init__(refresh_rate=1, leave=False, theme=theme, console_kwargs={"stderr": True})
        self.plan = plan
        self._shown: dict[str, Any] = {}

    def configure_columns(self, trainer: Trainer) -> list[Any]:
        description, bar, batches, *_ = super().configure_columns(trainer)
        bar.bar_width = 12
        return [description, bar, batches]

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """The figures behind the bar, read in log steps only, since reading a loss waits for the GPU."""
        if not self._shown or not trainer.training or is_log_step(trainer):
            self._shown = self.plan.figures(trainer)
        return self._shown
