"""The run's own checkpoint: the best one by a metric of the validation part."""

from __future__ import annotations

import math
from typing import Any, Literal

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_nlp.errors import UserError, warn_user


class BestCheckpoint(ModelCheckpoint):
    """Keeps best.ckpt, which is tested and exported, whatever other ModelCheckpoints stand beside it.

    Whoever asks for the best is handed this object: `trainer.checkpoint_callback` is the first of the list, which may
    be another. `dirpath` is the run's, and is set when the run is opened.

    Args:
        monitor: The metric of the validation part, such as val/loss; null keeps the last one instead.
        mode: Whether less of it is better, or more.
    """

    def __init__(self, monitor: str | None = "val/loss", mode: Literal["min", "max"] = "min") -> None:
        super().__init__(
            filename="best",
            monitor=monitor,
            mode=mode,
            save_on_train_epoch_end=False,  # an epoch may end without a validation
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """See that no other writes here: files of the same name would take each other's place.

        Raises:
            UserError: If one does.
        """
        super().setup(trainer, pl_module, stage)
        for other in trainer.checkpoint_callbacks:
            if isinstance(other, ModelCheckpoint) and other is not self and other.dirpath == self.dirpath:
                raise UserError(
                    f"A ModelCheckpoint has the dirpath {self.dirpath}, which is best.ckpt's: give another."
                )

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Find the state in a checkpoint of earlier versions."""
        take_over_state(self, "ModelCheckpoint", checkpoint)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the best one; an earlier version may have counted several (`save_top_k`)."""
        super().load_state_dict(state_dict)
        if self.best_model_score is not None:
            self.best_k_models = {self.best_model_path: self.best_model_score}
            self.kth_best_model_path, self.kth_value = self.best_model_path, self.best_model_score

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say so where there will be nothing to choose by."""
        super().on_train_start(trainer, pl_module)
        cure = None if self.best_model_score is not None else cure_without_validation(trainer)
        if cure is not None:
            warn_user(f"No validation comes in this training, so best.ckpt is its last state: give {cure} for some.")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Without any validation, keep the last state."""
        if self.monitor is None and not trainer.enable_validation:
            self.on_validation_end(trainer, pl_module)

    def would_take(self, trainer: Trainer) -> bool:
        """Whether the validation that has just ended is the best so far, before its checkpoint is saved.

        Args:
            trainer: With the validation's metrics.
        """
        value = trainer.callback_metrics.get(self.monitor) if self.monitor is not None else None
        if value is None or self.best_model_score is None:
            return True
        return bool(value > self.best_model_score if self.mode == "max" else value < self.best_model_score)

    def best_so_far(self, trainer: Trainer) -> float | None:
        """The best value of the metric, the validation that has just ended included; None before the first.

        Args:
            trainer: With the validation's metrics.
        """
        found = [] if self.monitor is None else [trainer.callback_metrics.get(self.monitor), self.best_model_score]
        values = [float(value) for value in found if value is not None]
        return (max if self.mode == "max" else min)(values) if values else None


def take_over_state(callback: Callback, name: str, checkpoint: dict[str, Any]) -> None:
    """Give a callback the state that a checkpoint holds for the class in whose place it came.

    Args:
        callback: With a `state_key` that begins with its class's name.
        name: The earlier class's.
        checkpoint: About to be loaded; changed in place.
    """
    states = checkpoint.get("callbacks", {})
    before = callback.state_key.replace(type(callback).__name__, name, 1)
    if callback.state_key not in states and before in states:
        states[callback.state_key] = states[before]


def cure_without_validation(trainer: Trainer) -> str | None:
    """The options that bring validations into a training that would end before its first.

    Args:
        trainer: About to train.

    Returns:
        What to give; None where a validation comes, or where nobody knows.
    """
    if trainer.limit_val_batches == 0:
        return "--trainer.limit_val_batches 1.0"
    interval, every = trainer.val_check_batch, trainer.check_val_every_n_epoch
    if interval is None or not trainer.enable_validation:  # by the clock; a data module without a validation part
        return None
    if math.isinf(trainer.num_training_batches) or math.isinf(interval):
        return None
    batches, accumulated = int(trainer.num_training_batches), trainer.accumulate_grad_batches
    first = min(interval, batches) if every else interval
    first += batches * (every - 1) if every else 0
    epochs, rest = divmod(first - 1, batches)  # a step also takes what is left over at the end of an epoch
    steps_before = epochs * math.ceil(batches / accumulated) + rest // accumulated
    most_steps = trainer.max_steps if trainer.max_steps >= 0 else math.inf
    most_batches = batches * trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else math.inf
    if first <= most_batches and steps_before < most_steps:
        return None
    within = min(most_steps * accumulated, most_batches, batches)
    cures = [f"--trainer.val_check_interval {max(1, int(within) // 2)}"] if within < interval else []
    return " ".join([*cures, *(["--trainer.check_val_every_n_epoch 1"] if every and every > 1 else [])])
