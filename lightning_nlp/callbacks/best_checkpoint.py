"""The run's own checkpoint: the best one by a metric of the validation part."""

import os
from typing import Any, Literal

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_nlp.callbacks.outlook import cure_without_validation
from lightning_nlp.errors import UserError, warn_user


class BestCheckpoint(ModelCheckpoint):
    """Keeps best.ckpt, which is tested and exported, whatever other ModelCheckpoints there are.

    Pass this object to whoever needs it: `trainer.checkpoint_callback` is the first of the list, perhaps another.
    `dirpath` is set when the run is opened.

    Args:
        monitor: A metric of the validation part, e.g. val/loss; null keeps the last state instead.
        mode: Whether lower or higher is better.
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
        super().setup(trainer, pl_module, stage)
        # the user's own: a folder that cannot be written would else be noticed at the first save
        for other in trainer.checkpoint_callbacks:
            folder = getattr(other, "dirpath", None)
            if other is self or folder is None or "://" in str(folder):
                continue
            try:
                if folder == self.dirpath:
                    raise FileExistsError(0, "best.ckpt lies there")
                os.makedirs(folder, exist_ok=True)
            except OSError as error:
                raise UserError(f"ModelCheckpoint has no dirpath {folder} ({error.strerror}): give another.") from error

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep the saved state only if it is this run's, and let its paths follow a run that was moved."""
        states = checkpoint.get("callbacks", {})
        folder = os.path.dirname(os.path.realpath(str(trainer.ckpt_path)))
        for key in [key for key in states if key.startswith(type(self).__name__)]:
            state, path = states[key], os.path.join(folder, "best.ckpt")
            if folder != self.dirpath or not os.path.isfile(path):
                del states[key]
            elif key == self.state_key:
                states[key] = state | {"dirpath": folder, "best_model_path": state["best_model_path"] and path}
                if (score := state["best_model_score"]) is not None:
                    states[key] |= {"kth_best_model_path": path, "best_k_models": {path: score}}
            elif state["best_model_score"] is not None:
                mode = "max" if "'max'" in key else "min"
                raise UserError(
                    f"best.ckpt in {folder} was chosen by {state['monitor']}, and not by {self.monitor}: go on with "
                    f"--checkpoint.monitor {state['monitor']} --checkpoint.mode {mode}, or with --ckpt_path best, "
                    "which makes another run."
                )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        if (cure := cure_without_validation(trainer)) is not None:
            state = "its last state" if self.best_model_score is None else "the one from before"
            warn_user(f"No validation comes in this training, so best.ckpt is {state}: give {cure} for some.")

    def would_take(self, trainer: Trainer) -> bool:
        """Whether the validation that has just ended is the best so far; before its checkpoint is saved."""
        value = trainer.callback_metrics.get(self.monitor) if self.monitor is not None else None
        if value is None or self.best_model_score is None:
            return True
        return bool(value > self.best_model_score if self.mode == "max" else value < self.best_model_score)

    def best_so_far(self, trainer: Trainer) -> float | None:
        """The best value so far, the latest validation included; None before the first."""
        found = [] if self.monitor is None else [trainer.callback_metrics.get(self.monitor), self.best_model_score]
        values = [float(value) for value in found if value is not None]
        return (max if self.mode == "max" else min)(values) if values else None
