"""How a module is validated and tested; a training step runs none of this."""

from typing import Any, Literal

from lightning.pytorch import LightningModule
from torch import Tensor

Stage = Literal["val", "test"]


class MeasuredModule(LightningModule):
    """A module that measures each batch of a split, and logs metrics at its end.

    Attributes:
        metrics: What `new_metrics` returned for the split that is being measured.
    """

    metrics: dict[str, Any]
    _evaluated: list[Any]  # what `evaluate` keeps of each batch, on its device, until the split's end

    def evaluate(self, batch: dict[str, Tensor], stage: Stage) -> dict[str, Tensor]:
        """Measure one batch of a split; returns what `callbacks.evaluation` makes its record from."""
        raise NotImplementedError

    def new_metrics(self) -> dict[str, Any]:
        """The metrics of a split that begins, by name."""
        raise NotImplementedError

    def log_metrics(self, stage: Stage) -> None:
        """Log the metrics at the end of a split."""
        raise NotImplementedError

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        return self.evaluate(batch, "val")

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        return self.evaluate(batch, "test")

    def on_validation_epoch_start(self) -> None:
        # made anew in this loop's mode: the states of metrics made in inference mode are read-only in another loop
        self.metrics = {name: metric.to(self.device) for name, metric in self.new_metrics().items()}
        self._evaluated = []

    on_test_epoch_start = on_validation_epoch_start

    def on_validation_epoch_end(self) -> None:
        self.log_metrics("val")

    def on_test_epoch_end(self) -> None:
        self.log_metrics("test")


def mean_metric() -> Any:
    """A mean over an epoch's single terms, NaN if any is; checking each batch for NaN would wait for the device.

    With this setting torchmetrics 1.9 silently ignores weights, so don't pass it means of batches.
    """
    from torchmetrics import MeanMetric

    return MeanMetric(nan_strategy="disable")
