"""A warning when the training loss goes up for good."""

import math
from collections import deque
from statistics import median
from typing import Any

from lightning import Callback, LightningModule, Trainer

from lightning_nlp.errors import warn_user
from lightning_nlp.training.schedules import is_log_step

# Means of the loss between log steps; their median, so that a few hard batches raise no alarm.
RECENT = 10
USUAL = 20


class Divergence(Callback):
    """Warns once when the median loss of the last 10 log steps is twice that of the 10 to 20 before.

    It must also exceed half of the first ones': when a small loss doubles, nothing is lost.
    """

    def __init__(self) -> None:
        self.warned = False
        self._first: list[float] = []
        self._means: deque[float] = deque(maxlen=USUAL + RECENT)
        self._sum: Any = 0.0
        self._batches = 0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        self._sum = self._sum + outputs["loss"].detach()
        self._batches += 1
        if is_log_step(trainer):
            self._judge(float(self._sum) / self._batches, trainer.global_step)
            self._sum, self._batches = 0.0, 0

    def _judge(self, mean: float, step: int) -> None:
        if self.warned or not math.isfinite(mean):  # NonFiniteSteps reports that
            return
        if len(self._first) < RECENT:
            self._first.append(mean)
        self._means.append(mean)
        means = list(self._means)
        if len(means) < 2 * RECENT:
            return
        before, recent = median(means[:-RECENT]), median(means[-RECENT:])
        if recent > 2 * before and recent > median(self._first) / 2:
            self.warned = True
            warn_user(
                f"The training diverges: its loss is {recent:.4g} at step {step}, after {before:.4g} before; a lower "
                "--model.lr or a higher --model.warmup_ratio may help."
            )
