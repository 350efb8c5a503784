"""What the LightningModules of all tasks share: network, checkpoint, optimizer and an exact accumulated gradient."""

from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from lightning_nlp.errors import UserError
from lightning_nlp.models import encoder, packing
from lightning_nlp.models.measured import MeasuredModule
from lightning_nlp.tasks import TASKS
from lightning_nlp.training.gradients import Gradients
from lightning_nlp.training.optimizer import configure_adamw


class EncoderModule(MeasuredModule):
    """An encoder in training; a task is a subclass with `task`, `loss_terms` and the metrics of `MeasuredModule`.

    Its `__init__` calls this one, then `save_hyperparameters` and `encoder.check_settings`.

    Attributes:
        task: The name of its row in `tasks.TASKS`.
        label_names: In the order of their ids; None for a task without labels.
        network: The transformers model; None until the Trainer starts or a checkpoint is loaded.
        tokenizer: The data's or the checkpoint's; None for batches without a data module.
        loaded: What the checkpoint says about itself, after `load_from_checkpoint`.
    """

    task: str
    label_names: list[str] | None = None
    _built = False  # for the data of this Trainer; a loaded checkpoint has a network before

    def __init__(self) -> None:
        super().__init__()
        self.network: Any = None
        self.tokenizer: Any = None
        self.loaded: Any = None
        self.gradients = Gradients()

    def loss_terms(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The sum of a batch's losses, with a graph, and the number to divide it by; both scalars."""
        raise NotImplementedError

    def config_overrides(self) -> dict[str, Any]:
        """What the task sets in the configuration of a new or pretrained network."""
        if not self.label_names:
            return {}
        names = dict(enumerate(self.label_names))
        return {"id2label": names, "label2id": {name: number for number, name in names.items()}}

    def configure_model(self) -> None:
        """Build the network once the data module knows its data; decide on packing."""
        if not self.attached:  # `load_from_checkpoint` calls it too
            return
        data, head = self._data, TASKS[self.task].head
        if getattr(data, "head", head) != head:
            raise UserError(f"{type(data).__name__} is not for {type(self).__name__}: give another --data or --model.")
        if not self._built:
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

    def configure_optimizers(self) -> Any:
        return configure_adamw(self, self._data)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        from lightning_nlp.models.checkpoints import metadata

        checkpoint["lightning_nlp"] = metadata(self, self._data)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        from lightning_nlp.models.checkpoints import load

        load(self, checkpoint, self._data if self.attached else None)

    @property
    def attached(self) -> bool:
        """Whether the module has a Trainer: in `load_from_checkpoint` it has none."""
        try:
            return bool(self.trainer)
        except RuntimeError:
            return False

    @property
    def _data(self) -> Any:
        # Known by its attributes: models import no data modules. Without one this module stands in, with no tokenizer.
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        return data if hasattr(data, "tokenizer") else self

    def _build(self) -> None:
        data, auto_class, device = self._data, encoder.auto_class(self.task), self.trainer.strategy.root_device
        if self.network is None:
            self.network = encoder.build(auto_class, self.hparams, data, device, **self.config_overrides())
        elif self.loaded:
            from lightning_nlp.models.checkpoints import check_checkpoint

            fitting = self.trainer.state.fn == "fit"  # perhaps on other texts
            check_checkpoint(self, {"lightning_nlp": self.loaded}, data, same_texts=not fitting)
        self.tokenizer = data.tokenizer
        self._built = True
