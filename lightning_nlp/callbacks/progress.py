"""How far a training is: a bar on a terminal, plain lines elsewhere, and what it is going to do before it begins."""

from __future__ import annotations

import sys
import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import (
    BatchesProcessedColumn,
    CustomBarColumn,
    RichProgressBarTheme,
)
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.callbacks.best_checkpoint import BestCheckpoint
from lightning_nlp.training.optimizer import is_log_step, num_training_steps

ESTIMATE_AFTER = 20  # steps: the first ones are slow


class Pace:
    """How long a training still takes, by the steps of this process, validations among them."""

    def __init__(self) -> None:
        self.total: int | None = None
        self._since: tuple[float, int] | None = None

    def start(self, trainer: Trainer) -> None:
        """Learn the number of steps."""
        self.total = num_training_steps(trainer, int(trainer.num_training_batches))
        self._since = None

    def left(self, trainer: Trainer) -> float | None:
        """The seconds that the rest takes at most (early stopping may come first); None if not known."""
        step = trainer.global_step
        if self.total is None or not step:
            return None
        if self._since is None:  # the first step, which warms everything up, does not count
            self._since = time.monotonic(), step
            return None
        since, first = self._since
        return (time.monotonic() - since) / (step - first) * (self.total - step) if step > first else None


class Plan(Callback):
    """Says in one line what the training is going to do, and after some steps how long it may take."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._first = 0
        self._told = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say what is about to come; a resumed training tells what is left."""
        self._pace.start(trainer)
        self._first, self._told = trainer.global_step, False
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
        ends = [] if self._pace.total is None else [f"at most {self._pace.total:,} steps"]
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            ends.append(f"{trainer.max_epochs} epoch{'' if trainer.max_epochs == 1 else 's'}")
        parts += [" in ".join(ends)] if ends else []
        if self._first and self._pace.total is not None:
            parts.append(f"{self._first:,} of them done")
        rank_zero_info(f"Training: {', '.join(parts)}.")

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Say once how long it may take."""
        left = self._pace.left(trainer)
        if not self._told and left is not None and trainer.global_step >= self._first + ESTIMATE_AFTER:
            self._told = True
            rank_zero_info(f"The training may take {duration(left)} more, and validations.")


class Progress(RichProgressBar):
    """Lightning's rich bar, on stderr, with few figures instead of all: one line of 80 columns."""

    def __init__(self, best: BestCheckpoint) -> None:
        theme = RichProgressBarTheme(metrics_format=".4g", metrics_text_delimiter=" ")
        super().__init__(refresh_rate=1, leave=False, theme=theme, console_kwargs={"stderr": True})
        self.best = best
        self._pace = Pace()
        self._shown: dict[str, Any] = {}

    def configure_columns(self, trainer: Trainer) -> list[Any]:
        """The description, a short bar, and the batches; time and speed are among the figures."""
        from rich.progress import TextColumn

        bar = CustomBarColumn(
            bar_width=12,
            complete_style=self.theme.progress_bar,
            finished_style=self.theme.progress_bar_finished,
            pulse_style=self.theme.progress_bar_pulse,
        )
        batches = BatchesProcessedColumn(style=self.theme.batch_progress)
        return [TextColumn("[progress.description]{task.description}"), bar, batches]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Learn the number of steps."""
        super().on_train_start(trainer, pl_module)
        self._pace.start(trainer)

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """The figures behind the bar, under short names; read anew only in the steps that are logged.

        To read a loss is to wait until the GPU has computed it.
        """
        if self._shown and trainer.training and not is_log_step(trainer, trainer.global_step):
            return self._shown
        logged = trainer.callback_metrics
        metrics: dict[str, Any] = {}
        if "train/loss" in logged:
            metrics["loss"] = f"{logged['train/loss']:.3f}"
        best = self.best.best_so_far(trainer)
        if best is not None:
            metrics["best"] = f"{best:.4f}"
        if "perf/tokens_per_s" in logged:
            metrics["tokens/s"] = f"{logged['perf/tokens_per_s']:,.0f}"
        left = self._pace.left(trainer)
        if left is not None:
            metrics["left"] = duration(left)
        self._shown = metrics
        return metrics


class PlainProgress(Callback):
    """A line on stderr at each validation, and in between every half a minute: for files and pipes.

    Args:
        seconds: The least time between two lines in between, which come at log steps only.
    """

    def __init__(self, best: BestCheckpoint, seconds: float = 30.0) -> None:
        self.best = best
        self.seconds = seconds
        self._pace = Pace()
        self._said_at = 0.0
        self._said_step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Learn the number of steps."""
        self._pace.start(trainer)
        self._said_at, self._said_step = time.monotonic(), trainer.global_step

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A line, if the last one is old."""
        step = trainer.global_step
        left = self._pace.left(trainer)
        old = time.monotonic() - self._said_at >= self.seconds
        if old and step != self._said_step and is_log_step(trainer, step):
            self._say(trainer, left)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A line with what was measured."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._say(trainer, self._pace.left(trainer))

    def _say(self, trainer: Trainer, left: float | None) -> None:
        self._said_at, self._said_step = time.monotonic(), trainer.global_step
        logged = trainer.callback_metrics
        total = "" if self._pace.total is None else f"/{self._pace.total:,}"
        parts = [f"step {trainer.global_step:,}{total}", f"epoch {trainer.current_epoch + 1}"]
        if "train/loss" in logged:
            parts.append(f"loss {logged['train/loss']:.4f}")
        if self.best.monitor in logged:
            parts.append(f"{self.best.monitor} {logged[self.best.monitor]:.4f}")
        best = self.best.best_so_far(trainer)
        if best is not None:
            parts.append(f"best {best:.4f}")
        if "perf/tokens_per_s" in logged:
            parts.append(f"{logged['perf/tokens_per_s']:,.0f} tokens/s")
        if left:
            parts.append(f"{duration(left)} left at most")
        rank_zero_info("  ".join(parts))


def progress_callbacks(best: BestCheckpoint, *, enabled: bool) -> list[Callback]:
    """What shows a training's progress here.

    Returns:
        A bar if stderr is a terminal, else plain lines, and the line before the first step; none if not
        enabled.
    """
    if not enabled:
        return []
    return [Plan(), Progress(best) if sys.stderr.isatty() else PlainProgress(best)]


def duration(seconds: float) -> str:
    """A time in the two units that matter: "3 min 20 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
