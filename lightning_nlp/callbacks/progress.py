"""How far a training is: a bar on a terminal, plain lines elsewhere; before it, what it will do."""

import sys
import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import RichProgressBarTheme
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.callbacks.best_checkpoint import BestCheckpoint
from lightning_nlp.training.schedules import is_log_step, num_training_steps

ESTIMATE_AFTER = 20  # steps: the first ones are slow


class Plan(Callback):
    """Says in one line what the training will do, and after some steps how long it may take.

    Attributes:
        total: The steps of the whole training; None for one without an end.
    """

    def __init__(self) -> None:
        self.total: int | None = None
        self._first = 0
        self._since: tuple[float, int] | None = None
        self._told = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.total = num_training_steps(trainer, trainer.num_training_batches)
        self._first, self._since, self._told = trainer.global_step, None, False
        parameters = sum(parameter.numel() for parameter in pl_module.parameters() if parameter.requires_grad)
        parts = [f"{parameters:,} parameters" if parameters < 1e6 else f"{parameters / 1e6:,.1f}M parameters"]
        data: Any = getattr(trainer, "datamodule", None)
        rows = getattr(data, "token_rows", {}).get("train")
        if getattr(data, "streaming", False):
            parts.append("a stream of texts")
        elif rows is not None:
            part = data.part("train")
            parts.append(f"{len(rows.lengths):,} examples and {int(rows.lengths.sum()):,} tokens")
            parts[-1] += f" ({part})" if part else " an epoch"
        ends = [] if self.total is None else [f"at most {self.total:,} steps"]
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            ends.append(f"{trainer.max_epochs} epoch{'' if trainer.max_epochs == 1 else 's'}")
        parts += [" in ".join(ends)] if ends else []
        if self._first and self.total is not None:
            parts.append(f"{self._first:,} of them done")
        rank_zero_info(f"Training: {', '.join(parts)}.")

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        left = self.left(trainer)
        if not self._told and left is not None and trainer.global_step >= self._first + ESTIMATE_AFTER:
            self._told = True
            rank_zero_info(f"The training may take {duration(left)} more, and validations.")

    def left(self, trainer: Trainer) -> float | None:
        """The seconds left at most (early stopping may come first), by the steps after the first; None if unknown."""
        step = trainer.global_step
        if self.total is None or not step:
            return None
        if self._since is None:
            self._since = time.monotonic(), step
        since, first = self._since
        return (time.monotonic() - since) / (step - first) * (self.total - step) if step > first else None


class Progress(RichProgressBar):
    """Lightning's rich bar, on stderr, with few figures instead of all: one line of 80 columns."""

    def __init__(self, best: BestCheckpoint, plan: Plan) -> None:
        theme = RichProgressBarTheme(metrics_format=".4g", metrics_text_delimiter=" ")
        super().__init__(refresh_rate=1, leave=False, theme=theme, console_kwargs={"stderr": True})
        self.best = best
        self.plan = plan
        self._shown: dict[str, Any] = {}

    def configure_columns(self, trainer: Trainer) -> list[Any]:
        description, bar, batches, *_ = super().configure_columns(trainer)
        bar.bar_width = 12
        return [description, bar, batches]

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """The figures behind the bar, read in log steps only, since reading a loss waits for the GPU."""
        if not self._shown or not trainer.training or is_log_step(trainer):
            self._shown = figures(trainer, self.best, self.plan)
        return self._shown


class PlainProgress(Callback):
    """A line on stderr at each validation, and at log steps every `seconds` in between: for files and pipes."""

    def __init__(self, best: BestCheckpoint, plan: Plan, seconds: float = 30.0) -> None:
        self.best = best
        self.plan = plan
        self.seconds = seconds
        self._said_at = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._said_at = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if time.monotonic() - self._said_at >= self.seconds and is_log_step(trainer):
            self._say(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._say(trainer)

    def _say(self, trainer: Trainer) -> None:
        self._said_at = time.monotonic()
        of = "" if self.plan.total is None else f"/{self.plan.total:,}"
        shown = figures(trainer, self.best, self.plan)
        if self.best.monitor in trainer.callback_metrics:
            shown[self.best.monitor] = f"{trainer.callback_metrics[self.best.monitor]:.4f}"
        parts = [f"step {trainer.global_step:,}{of}", f"epoch {trainer.current_epoch + 1}"]
        rank_zero_info("  ".join([*parts, *(f"{name} {value}" for name, value in shown.items())]))


def figures(trainer: Trainer, best: BestCheckpoint, plan: Plan) -> dict[str, str]:
    """Loss, best validation, speed and time left, as far as they are known; reads from the device."""
    logged = trainer.callback_metrics
    found = {}
    if "train/loss" in logged:
        found["loss"] = f"{logged['train/loss']:.3f}"
    if (value := best.best_so_far(trainer)) is not None:
        found["best"] = f"{value:.4f}"
    if "perf/tokens_per_s" in logged:
        found["tokens/s"] = f"{logged['perf/tokens_per_s']:,.0f}"
    if (left := plan.left(trainer)) is not None:
        found["left"] = duration(left)
    return found


def progress_callbacks(best: BestCheckpoint, *, enabled: bool) -> list[Callback]:
    """What shows a training's progress: one line before it, then a bar if stderr is a terminal, else plain lines."""
    if not enabled:
        return []
    plan = Plan()
    return [plan, Progress(best, plan) if sys.stderr.isatty() else PlainProgress(best, plan)]


def duration(seconds: float) -> str:
    """A time in the two units that matter: "3 min 20 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
