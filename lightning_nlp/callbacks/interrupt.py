"""Ctrl-C saves the training and says how to go on."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info


class Interrupted(Exception):
    """Raised out of `fit` after a Ctrl-C, when the checkpoint is written."""

    def __init__(self, checkpoint: Path, step: int) -> None:
        super().__init__(f"interrupted after step {step}, saved as {checkpoint}")
        self.checkpoint = checkpoint
        self.step = step


class SaveOnInterrupt(Callback):
    """Turn the first Ctrl-C into a checkpoint at the next whole step; the second one stops at once.

    A signal may arrive anywhere, also between two micro-batches or in the middle of an optimizer step, where a
    checkpoint would be of neither the one state nor the other. During validation the save waits for its end, so that
    its metrics are those of all examples.

    Args:
        checkpoint: The file to write.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint = checkpoint
        self.requested = False
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

    def _stop(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.checkpoint)
        raise Interrupted(self.checkpoint, trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop here if the optimizer has just stepped and no validation is about to begin."""
        whole_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if self.requested and whole_step and not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._stop(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop here if the interrupt came during validation."""
        if self.requested and not trainer.sanity_checking:
            self._stop(trainer)
