"""The checkpoint to resume from: written after each validation, every few minutes, and at a signal."""

import copy
import signal
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, Timer
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.callbacks.interrupt import TIME_LIMIT, Interrupted, heeded_signals
from lightning_nlp.training.schedules import at_whole_step, is_log_step


class LastCheckpoint(Checkpoint):
    """Keeps last.ckpt, and writes one at the first SIGINT or SIGTERM; a second signal stops at once.

    A signal may arrive between two micro-batches, so the checkpoint is written once the step is complete and
    its metrics are logged. A validation is broken off, and repeated after a resume.

    `ModelCheckpoint(save_last=True)` writes last.ckpt only when a validation is the best so far. This is a
    `Checkpoint` so that Lightning calls it after the ModelCheckpoint, whose state it saves.

    Args:
        save_minutes: Write it when the last one is this old, and after each validation.
        max_time: How long this process may train. (Lightning's own `max_time` includes the time before a resume, and
            ends a training as if it were complete.)
    """

    def __init__(
        self, checkpoint: Path, save_minutes: float = 10.0, max_time: str | timedelta | dict[str, int] | None = None
    ) -> None:
        self.checkpoint = checkpoint
        self.save_seconds = 60 * save_minutes
        self.requested = 0
        self._timer = Timer(max_time, verbose=False)
        self._stopping = 0  # the signal that all processes have agreed to heed
        self._saved_step: int | None = None
        self._saved_at = time.monotonic()
        self._late = False  # a validation within a step left its checkpoint to the end of the step
        self._positions: dict[str, Any] | None = None  # of the loops, noted at a whole step to be saved later

    def _request(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            sys.exit(128 + number)
        self.requested = number
        rank_zero_info("\nStopping after this step; Ctrl-C again stops at once.")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Replace Lightning's signal handlers; it restores the previous ones at the end."""
        if threading.current_thread() is threading.main_thread():
            for number in heeded_signals():
                signal.signal(number, self._request)
        self._timer.on_train_start(trainer, pl_module)
        self._saved_at = time.monotonic()
        if trainer.ckpt_path is not None and Path(trainer.ckpt_path).resolve() == self.checkpoint.resolve():
            self._saved_step = trainer.global_step  # if nothing is left to train, the file stays
        validation = trainer.fit_loop.epoch_loop.val_loop
        if validation.restarted_mid_evaluation:  # its first batch, already counted as started, is counted again
            total: Any = validation.batch_progress.total
            total.ready, total.started = total.ready - 1, total.started - 1

    def _poll(self, trainer: Trainer) -> bool:
        """Whether a signal, the time limit or the clock asks for it; sets `_stopping`. Processes agree in log steps."""
        remaining = self._timer.time_remaining()
        number = self.requested or (TIME_LIMIT if remaining is not None and remaining <= 0 else 0)
        save = time.monotonic() - self._saved_at >= self.save_seconds
        if trainer.world_size > 1:
            if trainer.log_every_n_steps and not is_log_step(trainer):  # type: ignore[attr-defined]
                return False
            wishes = torch.tensor([number, int(save)], device=trainer.strategy.root_device)
            number, save = trainer.strategy.reduce(wishes, reduce_op="max").tolist()
        self._stopping = number
        return bool(number or save)

    def _save(self, trainer: Trainer) -> None:
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(self.checkpoint, weights_only=False)
            self._saved_step, self._saved_at = trainer.global_step, time.monotonic()
            self._late = False
        self._positions = None

    def _stop_if_requested(self, trainer: Trainer) -> None:
        if self._stopping and self._saved_step == trainer.global_step:
            raise Interrupted(self.checkpoint, trainer.global_step, self._stopping)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Note the positions of a step to be saved: at the next batch's start, when Lightning has logged its metrics.

        After the last of `max_steps` too: Lightning would save its epoch as complete.
        """
        loop = trainer.fit_loop.epoch_loop
        if loop.batch_progress.is_last_batch or not at_whole_step(trainer):
            return  # the end of an epoch is saved in `on_train_epoch_end`
        if self._poll(trainer) or self._late or trainer.global_step == trainer.max_steps:
            self._positions = positions(trainer)

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if self._positions is not None:
            self._save(trainer)
        self._stop_if_requested(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after the validation instead, or a resume would skip it."""
        self._positions = None

    on_validation_epoch_end = on_validation_start

    def on_validation_batch_start(self, trainer: Trainer, *_: Any) -> None:
        """Save the state before the validation and stop, if requested: a resume repeats the validation."""
        if trainer.sanity_checking or trainer.state.fn != "fit" or not at_whole_step(trainer):
            return
        if self._positions is None:
            self._positions = positions(trainer)
            # Lightning repeats a validation only if a batch of it had started
            progress = self._positions["fit_loop"]["epoch_loop.val_loop.batch_progress"]
            for count in (progress["total"], progress["current"]):
                count["started"] = count["ready"]
        if trainer.world_size == 1 and self._poll(trainer) and self._stopping:
            self._save(trainer)
            self._stop_if_requested(trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Put in the positions that were noted, and whether a resume from here is exact."""
        checkpoint["whole_step"] = self._positions is not None or at_whole_step(trainer)
        if self._positions is not None:
            checkpoint["loops"] = self._positions

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save; after a validation between two micro-batches, at the end of the step."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if at_whole_step(trainer):
            self._poll(trainer)
            self._save(trainer)
            self._stop_if_requested(trainer)
        else:
            self._late = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._poll(trainer)
        if self._saved_step != trainer.global_step:
            self._save(trainer)
        self._stop_if_requested(trainer)


def positions(trainer: Trainer) -> dict[str, Any]:
    """Where all loops are, to be saved later."""
    names = ("fit_loop", "validate_loop", "test_loop", "predict_loop")
    return {name: copy.deepcopy(getattr(trainer, name).state_dict()) for name in names}
