"""A warning when the training loss goes up for good."""

import math
from statistics import median
from typing import Any

from lightning import Callback, LightningModule, Trainer

from lightning_nlp.errors import warn_user
from lightning_nlp.training.schedules import is_log_step

# Mean losses between log steps; their median, so that a few hard batches raise no alarm.
RECENT, USUAL = 10, 20


class Divergence(Callback):
    """Warns once when the median loss of the last 10 log steps is twice that of the 10 to 20 before.

    It must also exceed half of the first ones': when a small loss doubles, nothing is lost.
    """

    def __init__(self) -> None:
        self._warned = False
        self._means: list[float] = []
        self._sum: Any = 0.0
        self._batches = 0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *_: Any) -> None:
        self._sum = self._sum + outputs["loss"].detach()
        self._batches += 1
        if is_log_step(trainer):
            mean = float(self._sum) / self._batches
            self._sum, self._batches = 0.0, 0
            if math.isfinite(mean) and not self._warned:  # NonFiniteSteps reports the others
                self._judge(mean, trainer.global_step)

    def _judge(self, mean: float, step: int) -> None:
        self._means.append(mean)
        if len(self._means) < 2 * RECENT:
            return
        first, recent = median(self._means[:RECENT]), median(self._means[-RECENT:])
        before = median(self._means[-RECENT - USUAL : -RECENT])
        if recent > 2 * before and recent > first / 2:
            self._warned = True
            warn_user(
                f"The training diverges: its loss is {recent:.4g} at step {step}, after {before:.4g} before; a lower "
                "--model.lr or a higher --model.warmup_ratio may help."
            )
