"""How far a training is, in plain lines; `progress_bar` has the bar of a terminal."""

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.callbacks.best_checkpoint import BestCheckpoint
from lightning_nlp.callbacks.outlook import outlook
from lightning_nlp.training.schedules import is_log_step, num_training_steps

ESTIMATE_AFTER = 20  # steps: the first ones are slow


class Plan(Callback):
    """Says in one line what the training will do, and after some steps how long it may take.

    Attributes:
        total: The steps of the whole training; None for one without an end.
    """

    def __init__(self, best: BestCheckpoint) -> None:
        self.best = best
        self.total: int | None = None
        self._start = 0  # the step that this training began or resumed at
        self._since: tuple[float, int] | None = None  # time and number of the first step that is timed
        self._told = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.total = num_training_steps(trainer, trainer.num_training_batches)
        self._start, self._since, self._told = trainer.global_step, None, False
        rank_zero_info(outlook(trainer, pl_module, self.total))

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        left = self.left(trainer)
        if not self._told and left is not None and trainer.global_step >= self._start + ESTIMATE_AFTER:
            self._told = True
            rank_zero_info(f"The training may take {duration(left)} more, and validations.")

    def left(self, trainer: Trainer) -> float | None:
        """The seconds left unless it stops early, by the mean time of a step so far; None if unknown."""
        step = trainer.global_step
        if self.total is None or not step:
            return None
        if self._since is None:
            self._since = time.monotonic(), step
        since, first = self._since
        return (time.monotonic() - since) / (step - first) * (self.total - step) if step > first else None

    def figures(self, trainer: Trainer) -> dict[str, str]:
        """Loss, best validation, speed and time left, as far as they are known; reads from the device."""
        logged, best, left = trainer.callback_metrics, self.best.best_so_far(trainer), self.left(trainer)
        found = {
            "loss": f"{logged['train/loss']:.3f}" if "train/loss" in logged else "",
            "best": f"{best:.4f}" if best is not None else "",
            "tokens/s": f"{logged['perf/tokens_per_s']:,.0f}" if "perf/tokens_per_s" in logged else "",
            "left": duration(left) if left is not None else "",
        }
        return {name: figure for name, figure in found.items() if figure}


class PlainProgress(Callback):
    """A line on stderr at each validation, and at log steps every `seconds` in between: for files and pipes."""

    def __init__(self, plan: Plan, seconds: float = 30.0) -> None:
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
        shown, monitor = self.plan.figures(trainer), self.plan.best.monitor
        if monitor in trainer.callback_metrics:
            shown[monitor] = f"{trainer.callback_metrics[monitor]:.4f}"
        parts = [f"step {trainer.global_step:,}{of}", f"epoch {trainer.current_epoch + 1}"]
        rank_zero_info("  ".join([*parts, *(f"{name} {value}" for name, value in shown.items())]))


def duration(seconds: float) -> str:
    """A time in the two units that matter: "3 min 20 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
