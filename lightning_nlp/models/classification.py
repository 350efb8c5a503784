"""Sequence classification: an encoder with a linear head, trained and measured."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.optim import Optimizer

from lightning_nlp.errors import UserError, check_range
from lightning_nlp.evaluation import IGNORE_INDEX
from lightning_nlp.models import encoder, metadata, packing
from lightning_nlp.models.freezing import Frozen
from lightning_nlp.models.losses import mean_metric
from lightning_nlp.training.gradients import Gradients
from lightning_nlp.training.optimizer import configure_adamw, override_checkpoint
from lightning_nlp.training.schedules import Schedule


class SequenceClassifier(LightningModule):
    """A text encoder that puts each text into one of several classes.

    The labels, the tokenizer and the number of batches come from the data module when the Trainer starts, or
    out of a checkpoint, with `load_from_checkpoint`. A batch is a dict of `input_ids` and `attention_mask`
    (B, T), or of the packed form (see `packing.forward`), and `labels` (B,); a row whose label is -100 counts
    nowhere.

    Args:
        pretrained: A folder or a Hub id; null makes a new DistilBERT of the sizes below, which count only
            then.
        freeze: What of a pretrained model is not trained: `embeddings`, those and the first N layers (a
            number), or the `encoder`, all but the head; null trains all.
        keep_head: Take a pretrained head's rows by position where the names of its classes are not those of
            the labels; by default such a head's last layer is new.
        n_layers: Transformer layers.
        n_heads: Attention heads a layer.
        dim: Width of the hidden states.
        hidden_dim: Width of the feed-forward layers.
        dropout: Rate on hidden states, the head's included; null leaves the model's own.
        attention_dropout: Rate on attention weights; null leaves the model's own. At 0 attention stays on its
            fused kernel, which on a CPU makes training 2.2 times as fast.
        lr: Peak learning rate.
        weight_decay: Decoupled weight decay of matrices and embeddings; biases and norms have none.
        schedule: The learning rate after the warmup: linear, cosine, constant, or wsd (warmup, stable,
            decay).
        warmup_ratio: Share of the optimizer steps in which the learning rate rises.
        label_smoothing: Share of each target spread over all classes, in training only.
        class_weights: Weight of each class in the training loss, in the order of the labels; "balanced" takes
            n / (k n_c) for n training examples, k classes and n_c examples of the class; null weighs all
            alike.
        label_names: The classes' names in the order of their ids, to train on a DataLoader of one's own, with
            `pretrained`; null takes the data module's.
    """

    def __init__(
        self,
        *,
        pretrained: str | None = None,
        freeze: Frozen | None = None,
        keep_head: bool = False,
        n_layers: int = 6,
        n_heads: int = 12,
        dim: int = 768,
        hidden_dim: int = 3072,
        dropout: float | None = None,
        attention_dropout: float | None = 0.0,
        lr: float = 2e-5,
        weight_decay: float = 0.01,
        schedule: Schedule = "linear",
        warmup_ratio: float = 0.06,
        label_smoothing: float = 0.0,
        class_weights: Literal["balanced"] | list[float] | None = None,
        label_names: list[str] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        encoder.check_settings(self.hparams)
        check_range("--model.label_smoothing", label_smoothing, 0, 1, high_open=True)
        if isinstance(class_weights, str) and class_weights != "balanced":
            raise UserError(f"class_weights is {class_weights!r}: give --model.class_weights balanced, or a list.")
        if isinstance(class_weights, list):
            for weight in class_weights:
                check_range("--model.class_weights", weight, 0)
            if not any(class_weights):
                raise UserError(f"class_weights is {class_weights}, all 0: change --model.class_weights.")
        self.network: Any = None
        self.label_names, self.tokenizer = label_names, None  # the data's, and for batches without a data module
        self.loaded: Any = None  # what the checkpoint said in `load_from_checkpoint`
        self.class_weights: Tensor | None
        self.gradients = Gradients()
        self._evaluated: list[tuple[Tensor, Tensor, Tensor]] = []  # losses, predictions and labels of each batch

    def configure_model(self) -> None:
        """Build the network and its metrics once the data module knows the labels; decide on packing."""
        if not encoder.attached(self):  # in `load_from_checkpoint`
            return
        if not hasattr(self, "val_loss"):
            self._build()
        packing.choose(self.network, self._data, self.trainer)

    def _build(self) -> None:
        from transformers import AutoModelForSequenceClassification

        data = self._data
        labels, ours = list(data.label_names or []), self.hparams["label_names"]
        if not labels or ours not in (None, labels):
            raise UserError(
                f"The labels of the data are {labels or 'not known'}, and label_names is {ours}: without a data module "
                "give SequenceClassifier both label_names and pretrained, with one leave label_names out."
            )
        if self.network is None:
            names: dict[str, Any] = {"id2label": dict(enumerate(labels))}
            names |= {"label2id": {name: i for i, name in enumerate(labels)}}
            names |= {"problem_type": "single_label_classification"}
            device = self.trainer.strategy.root_device
            self.network = encoder.build(AutoModelForSequenceClassification, self.hparams, data, device, **names)
        elif self.loaded:
            metadata.check_loaded(self, self._metadata(), data)
        self.label_names, self.tokenizer = labels, data.tokenizer
        weights = _class_weights(self.hparams["class_weights"], getattr(data, "class_counts", None), labels)
        self.register_buffer("class_weights", weights, persistent=False)
        self.val_loss, self.val_metrics = mean_metric(), _metrics(len(labels), "val/")
        self.test_loss, self.test_metrics = mean_metric(), _metrics(len(labels), "test/")

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """The logits of each class in float32, (B, number of classes), in the order of the batch."""
        return packing.forward(self.network, batch).float()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Cross-entropy as PyTorch's mean reduction has it, over all batches accumulated for a step."""
        packing.check_batch(batch, "labels")
        logits, labels, weights = self(batch), batch["labels"], self.class_weights
        loss_sum = F.cross_entropy(
            logits, labels, weight=weights, reduction="sum", label_smoothing=self.hparams["label_smoothing"]
        )
        counted = labels != IGNORE_INDEX
        # the divisor of PyTorch's weighted mean is the sum of the weights of the targets
        count = counted.sum() if weights is None else (weights[labels.clamp(min=0)] * counted).sum()
        loss, mean = self.gradients.loss(loss_sum, count)
        self.log("train/loss", mean, prog_bar=True)
        return loss

    def on_train_epoch_start(self) -> None:
        """No gradient is carried from one epoch into the next."""
        self.gradients.reset()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Make accumulation exact, and log."""
        self.gradients.log(self, optimizer)

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: Any = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip by the norm that is known already."""
        self.gradients.clip(self.trainer, optimizer, gradient_clip_val, gradient_clip_algorithm)

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Measure one batch of the validation split; returns its `logits` (n, classes) and `labels` (n,)."""
        return self._evaluate(batch)

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Measure one batch of the test split; returns its `logits` (n, classes) and `labels` (n,)."""
        return self._evaluate(batch)

    def on_validation_epoch_start(self) -> None:
        """Forget a validation that was broken off."""
        self._evaluated.clear()

    def on_validation_epoch_end(self) -> None:
        """Log the validation split's metrics."""
        self._log_metrics("val")

    def on_test_epoch_end(self) -> None:
        """Log the test split's metrics."""
        self._log_metrics("test")

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The probability of each class, (B, number of classes), in the order of `rows` where the batch has them."""
        probabilities = self(batch).softmax(dim=-1)
        return probabilities[batch["rows"].argsort()] if "rows" in batch else probabilities

    def configure_optimizers(self) -> Any:
        """AdamW with the schedule asked for; see `configure_adamw`."""
        return configure_adamw(self, self._data)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Record what the weights were trained for."""
        checkpoint["lightning_nlp"] = self._metadata()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse another task's weights, and let this run's settings win; without a Trainer, build the network."""
        if not encoder.attached(self):
            metadata.rebuild(self, checkpoint, "classification")
            self.label_names = checkpoint["lightning_nlp"]["label_names"]
            return
        metadata.check_checkpoint(checkpoint, self._metadata(), self._data)
        override_checkpoint(self, checkpoint, self._data)

    @property
    def _data(self) -> Any:
        # known by its attributes alone: models do not import the data modules; one of the user's own may have none
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        return data if hasattr(data, "tokenizer") else self

    def _metadata(self) -> dict[str, Any]:
        labels = [str(name) for name in self._data.label_names]
        return metadata.checkpoint_metadata("classification", self._data, self.network, label_names=labels)

    def _evaluate(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Keep a batch's results; the loss is the plain one, without label smoothing or class weights."""
        packing.check_batch(batch, "labels")
        logits, labels = self(batch), batch["labels"]
        losses = F.cross_entropy(logits, labels, reduction="none")
        self._evaluated.append((losses, logits.argmax(dim=-1), labels))
        return {"logits": logits, "labels": labels}

    def _log_metrics(self, stage: Literal["val", "test"]) -> None:
        """Log a split's metrics; to leave rows out, as they do, waits for the device, so all batches come first."""
        loss, metrics = (self.val_loss, self.val_metrics) if stage == "val" else (self.test_loss, self.test_metrics)
        for losses, predictions, labels in self._evaluated:
            loss.update(losses[labels != IGNORE_INDEX])
            metrics.update(predictions, labels)
        self._evaluated.clear()
        self.log(f"{stage}/loss", loss, prog_bar=True)
        self.log_dict(metrics, prog_bar=stage == "val")


def _class_weights(
    setting: Literal["balanced"] | list[float] | None, counts: list[int] | None, labels: list[str]
) -> Tensor | None:
    """The weight of each class, (number of classes,), or None for equal ones."""
    if setting is None:
        return None
    if setting == "balanced":
        if counts is None:
            raise UserError("class_weights balanced needs a data module to count: give --model.class_weights a list.")
        empty = [label for label, count in zip(labels, counts, strict=True) if count == 0]
        if empty:
            raise UserError(
                f"No training example has the label {empty[0]!r}, so its balanced weight is infinite: "
                "give --model.class_weights a list or null."
            )
        return torch.tensor([sum(counts) / (len(counts) * count) for count in counts])
    if len(setting) != len(labels):
        raise UserError(
            f"class_weights has {len(setting)} weights for {len(labels)} classes ({', '.join(labels)}): "
            "give --model.class_weights one for each."
        )
    return torch.tensor(setting, dtype=torch.float32)


def _metrics(num_classes: int, prefix: str) -> Any:
    """Accuracy, and macro averages over the classes that occur among the labels or the predictions."""
    from torchmetrics import MetricCollection, classification

    settings: dict[str, Any] = {"num_classes": num_classes, "ignore_index": IGNORE_INDEX, "validate_args": False}
    return MetricCollection(
        {
            "accuracy": classification.MulticlassAccuracy(average="micro", **settings),
            "precision": classification.MulticlassPrecision(average="macro", zero_division=0, **settings),
            "recall": classification.MulticlassRecall(average="macro", zero_division=0, **settings),
            "f1": classification.MulticlassF1Score(average="macro", zero_division=0, **settings),
        },
        prefix=prefix,
    )
