"""The yardstick as a Lightning callback: it rides along with any training of this package."""

from __future__ import annotations

import contextlib
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.plugins import TorchCheckpointIO
from token_data import TokenData, train
from yardstick import Yardstick


class Done(BaseException):
    """The measurement is over: nothing that follows in `fit` is wanted."""


class NoCheckpoints(TorchCheckpointIO):
    """Writes nothing, as the HF Trainer with save_strategy="no"."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Do nothing."""


class Clock(Callback):
    """Tells the yardstick of each step, and ends the training when it has enough; `job` is the yardstick's."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if self.job["steps"] is None and not self.job["until"]:
            self.job["steps"] = int(trainer.num_training_batches)
        facts = {name: getattr(data, name, None) for name in ("batch_size", "tokens_per_batch")}
        facts |= {"packs": bool(data.packed), "precision": str(trainer.precision)}
        self.yardstick = Yardstick(self.job, **facts, batches_per_epoch=int(trainer.num_training_batches))
        self.yardstick.begin(pl_module.network)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop where the yardstick is done."""
        if self.yardstick.step(pl_module.network, batch, outputs["loss"]):
            raise Done

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last epoch is over."""
        self.yardstick.finish(pl_module.network)
        raise Done


def time_steps(
    module: LightningModule, data: TokenData, device: str, warmup: int = 0, precision: str | None = None
) -> dict[str, Any]:
    """Train on each batch of the data once; what the yardstick says of the steps after `warmup`."""
    steps = data.train_batches - warmup
    clock = Clock({"contender": "d", "device": device, "warmup": warmup, "steps": steps, "until": None})
    with contextlib.suppress(Done):
        train(module, data, clock, device=device, precision=precision)
    return clock.yardstick.result
