"""Early stopping that holds across a resume."""

from __future__ import annotations

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch import callbacks
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason


class EarlyStopping(callbacks.EarlyStopping):
    """Lightning's, but a training that it has ended does not go on after a resume, unless it now has more patience.

    Lightning's forgets that it had stopped, and takes the patience from the checkpoint.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take all but the patience."""
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop here if the training was over."""
        patient = self.stopping_reason is EarlyStoppingReason.PATIENCE_EXHAUSTED and self.wait_count < self.patience
        if self.stopping_reason is not EarlyStoppingReason.NOT_STOPPED and not patient:
            trainer.should_stop = True
