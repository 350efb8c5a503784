"""The yardstick as a Lightning callback: it rides along with any training of this package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.plugins import TorchCheckpointIO
from yardstick import Yardstick, count


class Done(BaseException):
    """The measurement is over: nothing that follows in `fit` is wanted."""


class NoCheckpoints(TorchCheckpointIO):
    """Writes nothing, as the HF Trainer with save_strategy="no"."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Do nothing."""


class Clock(Callback):
    """Tells the yardstick of each step, and stops when it has enough.

    Args:
        job: The job's file.
    """

    def __init__(self, job: str) -> None:
        self.job = json.loads(Path(job).read_text(encoding="utf-8"))
        self.facts: dict[str, Any] = {}  # more to write beside the measurements

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if self.job["steps"] is None and not self.job["until"]:
            self.job["steps"] = int(trainer.num_training_batches)
        facts = self.facts | {name: getattr(data, name, None) for name in ("batch_size", "tokens_per_batch")}
        facts |= {"packs": bool(getattr(data, "packed", False)), "precision": str(trainer.precision)}
        self.yardstick = Yardstick(self.job, **facts, batches_per_epoch=int(trainer.num_training_batches))
        self.yardstick.begin()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop where the yardstick is done."""
        network = pl_module.network
        if self.yardstick.step(network, count(batch), outputs["loss"]):
            raise Done

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last epoch is over."""
        self.yardstick.finish(pl_module.network)
        raise Done
