"""How fast the training is, in real tokens and in useful operations: padding is not counted."""

import time
from dataclasses import dataclass
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from lightning_nlp.callbacks.outlook import costs_and_peak
from lightning_nlp.errors import check_range
from lightning_nlp.training.counts import Counts, count_batch
from lightning_nlp.training.flops import Costs, training_flops
from lightning_nlp.training.hardware import peak_memory_gib
from lightning_nlp.training.schedules import is_log_step


@dataclass
class Interval:
    """What was counted since a point in time."""

    since: float
    ended: float  # when the last batch ended
    counts: Counts = Counts()  # noqa: RUF009, a tuple
    places: int = 0  # tokens and padding
    batches: int = 0
    waited: float = 0.0  # seconds between batches


class Throughput(Callback):
    """Logs the training's speed in log steps.

    - `perf/tokens_per_s`: real tokens a second, on all devices.
    - `perf/padding_efficiency`: real tokens / places in the batches; 1 for packed ones.
    - `perf/packing_efficiency`: real tokens / (batches * the data module's `tokens_per_batch`), if it has one.
    - `perf/data_wait`: share of the host's time between two batches: the loader, the copy to the device,
      loggers and other callbacks. A GPU may still be at work.
    - `perf/mfu`: model FLOPs utilisation: operations that the model needs (`flops.py`) a second / the peak of
      one device. Not logged where either is unknown.
    - `perf/peak_memory_gib`: see `peak_memory_gib`.

    The first step, which warms up, and validations are not timed. Counts stay on the device until a log step.
    (Lightning's ThroughputMonitor waits for the device at each batch, and counts padding.)

    Args:
        peak_tflops: A device's dense peak in the run's precision, in TFLOP/s; null looks it up, or measures the CPU.
    """

    def __init__(self, peak_tflops: float | None = None) -> None:
        check_range("--peak_tflops", peak_tflops, 0, low_open=True)
        self.peak_tflops = peak_tflops
        self.tokens, self.flops, self.seconds = 0, 0, 0.0  # of the whole fit, on this process
        self._costs: Costs | None = None
        self._peak: float | None = None
        self._interval: Interval | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._costs, self._peak = costs_and_peak(trainer, pl_module, self.peak_tflops)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._interval = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._collect()

    on_train_end = on_validation_start

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        now = time.perf_counter()
        if self._interval is not None:
            self._interval.waited += now - self._interval.ended
        elif batch_idx > 0:
            self._interval = Interval(now, now)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: dict[str, Any], *_: Any
    ) -> None:
        interval = self._interval
        if interval is None:  # the first batch of an epoch, not timed: the clock starts at its end
            now = time.perf_counter()
            self._interval = Interval(now, now)
            return
        counts = count_batch(batch, self._costs.window if self._costs else None)
        interval.counts = Counts(*(a + b for a, b in zip(interval.counts, counts, strict=True)))
        interval.places += batch["input_ids"].numel()
        interval.batches += 1
        if is_log_step(trainer):
            self._log(trainer, pl_module, interval)
        else:
            interval.ended = time.perf_counter()

    def _log(self, trainer: Trainer, pl_module: LightningModule, interval: Interval) -> None:
        tokens, flops, seconds = self._collect()
        pl_module.log("perf/tokens_per_s", tokens * trainer.world_size / seconds)
        pl_module.log("perf/padding_efficiency", tokens / interval.places)
        tokens_per_batch = getattr(getattr(trainer, "datamodule", None), "tokens_per_batch", None)
        if tokens_per_batch:
            pl_module.log("perf/packing_efficiency", tokens / (interval.batches * tokens_per_batch))
        pl_module.log("perf/data_wait", interval.waited / seconds)
        if self._peak:
            pl_module.log("perf/mfu", flops / seconds / self._peak)
        if (memory := peak_memory_gib(pl_module.device)) is not None:
            pl_module.log("perf/peak_memory_gib", memory)
        self._interval = Interval(interval.since + seconds, time.perf_counter())

    def _collect(self) -> tuple[int, int, float]:
        """Stop the clock, and add the interval's tokens, operations and seconds to the totals."""
        interval, self._interval = self._interval, None
        if interval is None or not interval.batches:
            return 0, 0, 0.0
        if torch.cuda.is_initialized():
            torch.cuda.synchronize()  # to time finished work
        seconds = time.perf_counter() - interval.since
        tokens = int(interval.counts.tokens)
        flops = training_flops(self._costs, interval.counts) if self._costs else 0
        self.tokens += tokens
        self.flops += flops
        self.seconds += seconds
        return tokens, flops, seconds

    @property
    def tokens_per_s(self) -> float | None:
        """Real tokens a second over the whole fit on this process; None if too little was trained to tell."""
        return self.tokens / self.seconds if self.seconds > 0 else None

    @property
    def mfu(self) -> float | None:
        """Model FLOPs utilisation over the whole fit on this process; None where it is not known."""
        return self.flops / self.seconds / self._peak if self._peak and self.seconds > 0 else None
