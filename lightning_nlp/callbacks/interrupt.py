"""The checkpoint to go on from: written after each validation, and when Ctrl-C asks for it."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.utilities.rank_zero import rank_zero_info


class Interrupted(Exception):
    """Raised out of `fit` after a Ctrl-C, when the checkpoint is written."""

    def __init__(self, checkpoint: Path, step: int) -> None:
        super().__init__(f"interrupted after step {step}, saved as {checkpoint}")
        self.checkpoint = checkpoint
        self.step = step


class LastCheckpoint(Checkpoint):
    """Keeps last.ckpt, and turns the first Ctrl-C into one at the next whole step; the second Ctrl-C stops at once.

    A signal may arrive anywhere, also between two micro-batches or in the middle of an optimizer step, where a
    checkpoint would be of neither the one state nor the other. So it is written when the step is whole, and the
    training stops a little later: when the step's metrics are logged, and the validation that is due after it is over.

    `ModelCheckpoint(save_last=True)` writes last.ckpt only when a validation is the best so far. This callback is a
    `Checkpoint` too, so that Lightning calls it after the ModelCheckpoint, whose state is to be saved.

    Args:
        checkpoint: The file to write.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self.requested = False
        self._saved_step: int | None = None
        self._previous: Any = None

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        rank_zero_info(
            "\nStopping after this step (after this validation, if one is under way); Ctrl-C again stops at once."
        )

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take over SIGINT for the training."""
        if stage == "fit" and threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._request)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give SIGINT back."""
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def _save(self, trainer: Trainer) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(self.checkpoint, weights_only=False)
            self._saved_step = trainer.global_step

    def _stop_if_requested(self, trainer: Trainer) -> None:
        if self.requested and self._saved_step == trainer.global_step:
            raise Interrupted(self.checkpoint, trainer.global_step)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Stop here if the step before was saved; by now its metrics are logged."""
        self._stop_if_requested(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save here if the optimizer has just stepped, as it also does at the end of an epoch.

        So is the last step of `max_steps`: it may lie within an epoch, which Lightning would later save as complete.
        """
        whole_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        whole_step = whole_step or trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        if whole_step and (self.requested or trainer.global_step == trainer.max_steps):
            self._save(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save with what the validation has changed."""
        if not trainer.sanity_checking and trainer.state.fn == "fit":
            self._save(trainer)
            self._stop_if_requested(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save here after an epoch without a validation at its end."""
        if self._saved_step != trainer.global_step:
            self._save(trainer)
        self._stop_if_requested(trainer)
