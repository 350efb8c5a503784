"""How fast the training is, in real tokens: padding is not counted."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor


class Throughput(Callback):
    """Logs `perf/tokens_per_s`, `perf/padding_efficiency` and `perf/peak_memory_gib`.

    Time counts from the first step's end, so that warm-up is left out, and stands still during validation. Counts stay
    on the device; they are read only when Lightning logs.
    """

    def __init__(self) -> None:
        self.tokens = 0  # over the whole fit, for the summary
        self.seconds = 0.0
        self._tokens: Tensor | None = None
        self._places = 0
        self._since: float | None = None
        self._logged_step = 0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock with the first step of each epoch."""
        self._reset(None)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._collect()
        self._reset(None)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Go on after a validation."""
        if self._since is None and batch_idx > 0:
            self._reset(time.perf_counter())

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        """Count, and log in the steps that Lightning logs in."""
        if self._since is None:
            self._reset(time.perf_counter())
            return
        tokens = batch["attention_mask"].sum()
        self._tokens = tokens if self._tokens is None else self._tokens + tokens
        self._places += batch["input_ids"].numel()
        step, every = trainer.global_step, trainer.log_every_n_steps  # type: ignore[attr-defined]
        if step != self._logged_step and every and step % every == 0:
            self._logged_step = step
            places = self._places
            tokens_now, seconds = self._collect()
            self._reset(time.perf_counter())
            pl_module.log("perf/tokens_per_s", tokens_now * trainer.world_size / seconds)
            pl_module.log("perf/padding_efficiency", tokens_now / places)
            pl_module.log("perf/peak_memory_gib", peak_memory_gib())

    def _reset(self, now: float | None) -> None:
        self._tokens, self._places, self._since = None, 0, now

    def _collect(self) -> tuple[int, float]:
        """Add what was counted since the last time to the totals."""
        if self._since is None or self._tokens is None:
            return 0, 0.0
        tokens = int(self._tokens)  # waits for the device, so the time is that of finished work
        seconds = time.perf_counter() - self._since
        self.tokens += tokens
        self.seconds += seconds
        self._reset(None)
        return tokens, seconds

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count what came after the last log."""
        self._collect()

    @property
    def tokens_per_s(self) -> float | None:
        """Real tokens a second over the whole fit on this process; None if too little was trained to tell."""
        return self.tokens / self.seconds if self.seconds > 0 else None


def peak_memory_gib() -> float:
    """The most memory used so far, in GiB: of the GPU if there is one, else of this process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)  # macOS counts bytes, Linux KiB
