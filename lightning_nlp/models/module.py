"""What the LightningModules of all tasks share: network, checkpoint, optimizer and an exact accumulated gradient."""

from typing import Any, Literal

from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_nlp.errors import UserError
from lightning_nlp.models import encoder, metadata, packing
from lightning_nlp.tasks import TASKS
from lightning_nlp.training.gradients import Gradients
from lightning_nlp.training.optimizer import configure_adamw, override_checkpoint

Stage = Literal["val", "test"]


class EncoderModule(LightningModule):
    """An encoder in training; a task is a subclass with `task` and the methods that raise NotImplementedError here.

    Its `__init__` calls this one, then `save_hyperparameters` and `encoder.check_settings`.

    Attributes:
        task: The name of its row in `tasks.TASKS`.
        network: The transformers model; None until the Trainer starts or a checkpoint is loaded.
        tokenizer: The data's or the checkpoint's; None for batches without a data module.
        loaded: What the checkpoint says about itself, after `load_from_checkpoint`.
        metrics: What `new_metrics` returned for "val" and "test".
    """

    task: str
    metrics: Any

    def __init__(self) -> None:
        super().__init__()
        self.network: Any = None
        self.tokenizer: Any = None
        self.loaded: Any = None
        self.gradients = Gradients()
        self._evaluated: list[Any] = []  # what `evaluate` keeps of each batch, on its device, until the split's end

    def loss_terms(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The sum of a batch's losses, with a graph, and the number to divide it by; both scalars."""
        raise NotImplementedError

    def evaluate(self, batch: dict[str, Tensor], stage: Stage) -> dict[str, Tensor]:
        """Measure one batch of a split; returns what `callbacks.evaluation` makes its record from."""
        raise NotImplementedError

    def new_metrics(self, stage: Stage) -> Any:
        """An `nn.ModuleDict` of a split's metrics, each with `reset`; called once the data are known."""
        raise NotImplementedError

    def log_metrics(self, stage: Stage) -> None:
        """Log the metrics at the end of a split."""
        raise NotImplementedError

    def config_overrides(self) -> dict[str, Any]:
        """What the task sets in the configuration of a new or pretrained network."""
        return {}

    def configure_model(self) -> None:
        """Build the network and its metrics once the data module knows its data; decide on packing."""
        if not encoder.attached(self):  # in `load_from_checkpoint`
            return
        data, head = self._data, TASKS[self.task].head
        if getattr(data, "head", head) != head:
            raise UserError(f"{type(data).__name__} is not for {type(self).__name__}: give another --data or --model.")
        if not hasattr(self, "metrics"):
            self._build()
        packing.choose(self.network, data, self.trainer)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The mean loss over all batches accumulated for a step."""
        loss, mean = self.gradients.loss(*self.loss_terms(batch))
        self.log("train/loss", mean, prog_bar=True)
        return loss

    def on_train_epoch_start(self) -> None:
        self.gradients.reset()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        self.gradients.log(self, optimizer)

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: Any = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        self.gradients.clip(self.trainer, optimizer, gradient_clip_val, gradient_clip_algorithm)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        return self.evaluate(batch, "val")

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        return self.evaluate(batch, "test")

    def on_validation_epoch_start(self) -> None:
        """Start the metrics anew, in this loop's mode: in `fit` the states of an inference mode are read-only."""
        self._reset_metrics("val")

    def on_test_epoch_start(self) -> None:
        self._reset_metrics("test")

    def on_validation_epoch_end(self) -> None:
        self.log_metrics("val")

    def on_test_epoch_end(self) -> None:
        self.log_metrics("test")

    def configure_optimizers(self) -> Any:
        return configure_adamw(self, self._data)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["lightning_nlp"] = self._metadata()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse another task's weights, and let this run's settings win; without a Trainer, build the network."""
        if encoder.attached(self):
            metadata.check_checkpoint(checkpoint, self._metadata(), self._data)
            override_checkpoint(self, checkpoint, self._data)
        else:
            metadata.rebuild(self, checkpoint, self.task)

    def _reset_metrics(self, stage: Stage) -> None:
        for metric in self.metrics[stage].values():
            metric.reset()
        self._evaluated.clear()

    @property
    def _data(self) -> Any:
        # known by its attributes alone: models do not import the data modules; one of the user's own may have none
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        return data if hasattr(data, "tokenizer") else self

    def _metadata(self) -> dict[str, Any]:
        return metadata.checkpoint_metadata(self.task, self._data, self.network)

    def _build(self) -> None:
        data, device = self._data, self.trainer.strategy.root_device
        if self.network is None:
            auto_class, overrides = encoder.auto_class(self.task), self.config_overrides()
            self.network = encoder.build(auto_class, self.hparams, data, device, **overrides)
        elif self.loaded:
            fitted = self.trainer.state.fn == "fit"  # perhaps to other texts
            metadata.check_checkpoint({"lightning_nlp": self.loaded}, self._metadata(), None if fitted else data)
        self.tokenizer = data.tokenizer
        self.metrics = nn.ModuleDict({"val": self.new_metrics("val"), "test": self.new_metrics("test")})


def mean_metric() -> Any:
    """A mean over an epoch's single terms, NaN if any is; checking each batch for NaN would wait for the device.

    With this setting torchmetrics 1.9 silently ignores weights, so don't give it means of batches.
    """
    from torchmetrics import MeanMetric

    return MeanMetric(nan_strategy="disable")
