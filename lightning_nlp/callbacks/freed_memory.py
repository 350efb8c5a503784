"""Keeps freed memory for the next step of a training on the CPU, and gives it back when too much has gathered."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer

from lightning_nlp.memory import keep_freed_memory, resident_bytes, return_freed_memory

# Blocks of changing sizes leave holes, and the process grows by some percent a step. Once it has grown by so much over
# what its steps needed at first, all is given back; the next step then pays for new pages, one step in twenty or more.
MOST_GROWTH = 1.25
STEPS_AT_FIRST = 8


class FreedMemory(Callback):
    """See `keep_freed_memory`; does nothing on a GPU, or without glibc."""

    def __init__(self) -> None:
        self.given_back = 0  # times
        self._keeps = False
        self._needed = 0  # bytes that the first steps took
        self._steps = 0  # since the memory was last given back

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to keep."""
        self._keeps = trainer.strategy.root_device.type == "cpu" and keep_freed_memory()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look how far the process has grown."""
        if not self._keeps:
            return
        self._steps += 1
        resident = resident_bytes()
        if self._steps <= STEPS_AT_FIRST:
            self._needed = max(self._needed, resident)
        elif resident > MOST_GROWTH * self._needed:
            return_freed_memory()
            self.given_back += 1
            self._steps, self._needed = 0, 0

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give all back before the test and the export."""
        if self._keeps:
            return_freed_memory()
