"""The run's own early stopping, which survives a resume."""

from typing import Any, Literal

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason


class EarlyStop(EarlyStopping):
    """Ends a training whose validations no longer improve, or whose metric is not finite.

    After a resume, Lightning's forgets that it had stopped, and its patience is the checkpoint's. This one stays
    stopped unless its patience is now higher. The name differs so that `EarlyStopping` in a yaml file is Lightning's.

    Args:
        monitor: A metric of the validation part, e.g. val/loss; null never stops.
        mode: Whether lower or higher is better.
        patience: How many validations in a row may bring no improvement.
        min_delta: A smaller improvement counts as none.
    """

    def __init__(
        self,
        monitor: str | None = "val/loss",
        mode: Literal["min", "max"] = "min",
        patience: int = 3,
        min_delta: float = 0.0,
    ) -> None:
        super().__init__(
            monitor or "",
            mode=mode,
            patience=patience,
            min_delta=min_delta,
            check_on_train_epoch_end=False,  # an epoch may end without a validation
        )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.monitor:
            super().on_validation_end(trainer, pl_module)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({**state_dict, "patience": self.patience})

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        patient = self.stopping_reason is EarlyStoppingReason.PATIENCE_EXHAUSTED and self.wait_count < self.patience
        if self.stopping_reason is not EarlyStoppingReason.NOT_STOPPED and not patient:
            trainer.should_stop = True
