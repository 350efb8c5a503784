"""Sequence classification: an encoder with a linear head, trained and measured."""

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_nlp.errors import UserError, check_range
from lightning_nlp.evaluation import IGNORE_INDEX
from lightning_nlp.models import encoder, packing
from lightning_nlp.models.freezing import Frozen
from lightning_nlp.models.module import EncoderModule, Stage, mean_metric
from lightning_nlp.training.schedules import Schedule


class SequenceClassifier(EncoderModule):
    """A text encoder that puts each text into one of several classes.

    Labels and tokenizer come from the data module when the Trainer starts, or from a checkpoint with
    `load_from_checkpoint`. A batch is a dict of `input_ids` and `attention_mask` (B, T), or packed (see
    `packing.forward`), and `labels` (B,); rows labelled -100 are ignored.

    Args:
        pretrained: A folder or a Hub id; null makes a new DistilBERT of the sizes below, which count only then.
        freeze: What of a pretrained model is not trained: `embeddings`, those and the first N layers (a
            number), or the `encoder`, all but the head; null trains all.
        keep_head: Take a pretrained head's rows by position if its classes have other names than the labels;
            by default such a head's last layer is new.
        n_layers: Transformer layers.
        n_heads: Attention heads a layer.
        dim: Width of the hidden states.
        hidden_dim: Width of the feed-forward layers.
        dropout: Rate on hidden states, the head's included; null leaves the model's own.
        attention_dropout: Rate on attention weights; null leaves the model's own. 0 allows the fused kernel,
            which on a CPU makes training 2.2 times as fast.
        lr: Peak learning rate.
        weight_decay: Decoupled weight decay of matrices and embeddings; biases and norms have none.
        schedule: The learning rate after the warmup: linear, cosine, constant, or wsd (warmup, stable, decay).
        warmup_ratio: Share of the optimizer steps in which the learning rate rises.
        label_smoothing: Share of each target spread over all classes, in training only.
        class_weights: Weight of each class in the training loss, in the order of the labels; "balanced" takes
            n / (k n_c) for n training examples, k classes and n_c examples of the class; null weighs all alike.
        label_names: The classes' names in the order of their ids, for your own DataLoader, with `pretrained`;
            null takes the data module's.
    """

    task: ClassVar[str] = "classification"

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
        self.label_names = label_names  # the data's once they are known
        self.class_weights: Tensor | None
        self._evaluated: list[tuple[Tensor, Tensor, Tensor]] = []  # losses, predictions and labels of each batch

    def config_overrides(self) -> dict[str, Any]:
        """The names of the classes."""
        labels = self.label_names or []
        return {
            "id2label": dict(enumerate(labels)),
            "label2id": {name: i for i, name in enumerate(labels)},
            "problem_type": "single_label_classification",
        }

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """The logits of each class in float32, (B, number of classes), in the order of the batch."""
        return packing.forward(self.network, batch).float()

    def loss_terms(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Cross-entropy as PyTorch's mean reduction has it."""
        packing.check_batch(batch, "labels")
        logits, labels, weights = self(batch), batch["labels"], self.class_weights
        loss_sum = F.cross_entropy(
            logits, labels, weight=weights, reduction="sum", label_smoothing=self.hparams["label_smoothing"]
        )
        counted = labels != IGNORE_INDEX
        # the divisor of PyTorch's weighted mean is the sum of the weights of the targets
        return loss_sum, counted.sum() if weights is None else (weights[labels.clamp(min=0)] * counted).sum()

    def evaluate(self, batch: dict[str, Tensor], stage: Stage) -> dict[str, Tensor]:
        """Keep a batch's results, with the plain loss, without label smoothing or class weights.

        Returns:
            Its `logits` (B, number of classes) and `labels` (B,).
        """
        packing.check_batch(batch, "labels")
        logits, labels = self(batch), batch["labels"]
        losses = F.cross_entropy(logits, labels, reduction="none")
        self._evaluated.append((losses, logits.argmax(dim=-1), labels))
        return {"logits": logits, "labels": labels}

    def _reset_metrics(self, stage: Stage) -> None:
        super()._reset_metrics(stage)
        self._evaluated.clear()

    def new_metrics(self, stage: Stage) -> Any:
        """The loss; accuracy, and macro averages over the classes that occur among the labels or the predictions."""
        from torchmetrics import MetricCollection, classification

        settings: dict[str, Any] = {"num_classes": len(self.label_names or []), "ignore_index": IGNORE_INDEX}
        settings |= {"validate_args": False}
        scores = MetricCollection(
            {
                "accuracy": classification.MulticlassAccuracy(average="micro", **settings),
                "precision": classification.MulticlassPrecision(average="macro", zero_division=0, **settings),
                "recall": classification.MulticlassRecall(average="macro", zero_division=0, **settings),
                "f1": classification.MulticlassF1Score(average="macro", zero_division=0, **settings),
            },
            prefix=f"{stage}/",
        )
        return nn.ModuleDict({"loss": mean_metric(), "scores": scores})

    def log_metrics(self, stage: Stage) -> None:
        """Log a split's metrics; they leave rows out, which waits for the device, so only at its end."""
        loss, scores = self.metrics[stage]["loss"], self.metrics[stage]["scores"]
        for losses, predictions, labels in self._evaluated:
            loss.update(losses[labels != IGNORE_INDEX])
            scores.update(predictions, labels)
        self._evaluated.clear()
        self.log(f"{stage}/loss", loss, prog_bar=True)
        self.log_dict(scores, prog_bar=stage == "val")

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """The probability of each class, (B, number of classes), in the order of `rows` where the batch has them."""
        probabilities = self(batch).softmax(dim=-1)
        return probabilities[batch["rows"].argsort()] if "rows" in batch else probabilities

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Without a Trainer, take the checkpoint's labels too."""
        super().on_load_checkpoint(checkpoint)
        if not encoder.attached(self):
            self.label_names = self.loaded["label_names"]

    def _metadata(self) -> dict[str, Any]:
        return super()._metadata() | {"label_names": [str(name) for name in self._data.label_names]}

    def _build(self) -> None:
        data = self._data
        labels, ours = list(data.label_names or []), self.hparams["label_names"]
        if not labels or ours not in (None, labels):
            raise UserError(
                f"The labels of the data are {labels or 'not known'}, and label_names is {ours}: without a data module "
                "give SequenceClassifier both label_names and pretrained, with one leave label_names out."
            )
        self.label_names = labels
        super()._build()
        weights = _class_weights(self.hparams["class_weights"], getattr(data, "class_counts", None), labels)
        self.register_buffer("class_weights", weights, persistent=False)


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
