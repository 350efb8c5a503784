"""What a step costs on this machine: a few real ones are taken, and the epoch is reckoned from them."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer

from lightning_nlp.callbacks.throughput import peak_memory_gib
from lightning_nlp.flops import Counts, count_batch, forward_costs, training_flops

WARM_UP = 1  # steps that are not measured: the first allocates, and loads kernels
ENOUGH_SECONDS = 20.0
# How far off an hour's training may be at least, on a machine that is as busy then as now: batches vary, memory grows.
TOLERANCE = 0.25
BUSY = 0.7  # of the threads' time; with less, other programs were at work


class StepClock(Callback):
    """Times real steps, and stops the training when it has seen enough.

    Attributes:
        seconds: Of each measured step.
        counts: What it worked on.
        cpu_seconds: Of this process, in the measured steps.
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.counts: list[Counts] = []
        self.cpu_seconds = 0.0
        self._begun = 0.0
        self._cpu_begun = 0.0
        self._started: float | None = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Start the clock when the device is idle."""
        _finish_work()
        self._begun, self._cpu_begun = time.perf_counter(), time.process_time()
        self._started = self._started or self._begun

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop it when the work is done."""
        _finish_work()
        now = time.perf_counter()
        if batch_idx >= WARM_UP:
            costs = forward_costs(pl_module.network)
            counts = count_batch(batch, costs.window if costs else None)
            self.counts.append(Counts(*map(int, counts)))
            self.seconds.append(now - self._begun)
            self.cpu_seconds += time.process_time() - self._cpu_begun
        assert self._started is not None
        if now - self._started > ENOUGH_SECONDS and self.seconds:
            trainer.should_stop = True


def measuring_trainer(settings: dict[str, Any], steps: int) -> Trainer:
    """A Trainer for a few steps that leave nothing behind.

    Args:
        settings: The Trainer's arguments for the training.
        steps: Steps to measure.
    """
    measuring = {
        "callbacks": [StepClock()],
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
        "limit_train_batches": WARM_UP + max(steps, 1),
        "limit_val_batches": 1,  # the longest texts, twice as many: its memory counts too
        "val_check_interval": None,
        "max_epochs": 1,
        "max_steps": -1,
    }
    nothing = dict.fromkeys(("max_time", "min_epochs", "min_steps", "profiler", "fast_dev_run"))
    with _without("`Trainer(limit_"):
        return Trainer(**{**settings, **nothing, "fast_dev_run": False, **measuring})


def measure_steps(trainer: Trainer, model: LightningModule, datamodule: Any, *, epochs: int | None) -> dict[str, Any]:
    """Train a few steps and reckon what an epoch takes.

    An epoch's first batch holds the longest text, and so does the validation's, of which one batch is run: their memory
    is about the most that training takes. The test's and the export's come on top.
    Time grows with the operations (`flops.py`) where the architecture is counted, else with the tokens.

    Args:
        trainer: Of `measuring_trainer`.
        model: The module that the configuration asks for.
        datamodule: Its data.
        epochs: Of the training, or None if it is given in steps or in time.

    Returns:
        `steps` (measured), `step_seconds` (median), `slowest`, `fastest`, `tokens_per_step`, `tokens_per_s`,
        `batches_per_epoch`, `epoch_seconds` (training steps alone), `epochs`, `tolerance`, `memory_gib`, `parameters`,
        `cpu_share` (of its threads' time, what the process got; null on a GPU); or `skipped`, the reason.
    """
    (clock,) = (callback for callback in trainer.callbacks if isinstance(callback, StepClock))  # type: ignore[attr-defined]
    with _without("`Trainer.fit` stopped"):
        trainer.fit(model, datamodule=datamodule)
    if not clock.seconds:
        return {"skipped": f"an epoch is too short (the first {WARM_UP} of its batches warms up)"}
    lengths = datamodule.token_rows["train"].lengths.astype(np.int64)
    network: Any = model.network
    costs = forward_costs(network)
    seen = Counts(*(sum(part) for part in zip(*clock.counts, strict=True)))
    tokens, seconds = int(seen.tokens), sum(clock.seconds)
    whole = int(lengths.sum())
    factor = whole / tokens
    if costs is not None:
        near = lengths * np.minimum(lengths, costs.window) if costs.window else np.zeros(1, np.int64)
        heads = len(lengths) if int(seen.head_rows) == int(seen.sequences) else int(factor * int(seen.head_rows))
        epoch = Counts(whole, int((lengths**2).sum()), int(near.sum()), len(lengths), heads)
        factor = training_flops(costs, epoch) / training_flops(costs, seen)
    spread = (max(clock.seconds) - min(clock.seconds)) / float(np.median(clock.seconds))
    return {
        "steps": len(clock.seconds),
        "step_seconds": round(float(np.median(clock.seconds)), 4),
        "fastest": round(min(clock.seconds), 4),
        "slowest": round(max(clock.seconds), 4),
        "tokens_per_step": round(tokens / len(clock.seconds)),
        "tokens_per_s": round(tokens / seconds),
        "batches_per_epoch": datamodule.train_batches,
        "epoch_seconds": round(seconds * factor, 4),
        "epochs": epochs,
        "tolerance": round(max(TOLERANCE, spread / 2), 2),
        "memory_gib": round(peak_memory_gib(), 3),
        "cpu_share": round(clock.cpu_seconds / seconds / torch.get_num_threads(), 3)
        if trainer.strategy.root_device.type == "cpu"
        else None,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
    }


@contextlib.contextmanager
def _without(beginning: str) -> Iterator[None]:
    """Drop a message of Lightning's for a while."""
    logger = logging.getLogger("lightning.pytorch.utilities.rank_zero")

    def keep(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(beginning)

    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def _finish_work() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
