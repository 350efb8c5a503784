"""Sequence classification: an encoder with a linear head in training.

`SequenceClassifier` has the settings and the loss. It inherits its metrics from `MeasuredClassifier`, the training step
from `EncoderModule`, and the validation from `MeasuredModule`.
"""

from typing import Any, ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from lightning_nlp.errors import UserError, check_range
from lightning_nlp.evaluation import IGNORE_INDEX
from lightning_nlp.models import encoder, packing
from lightning_nlp.models.encoder import Frozen
from lightning_nlp.models.measured_classifier import MeasuredClass, MeasuredClassifier
from lightning_nlp.training.schedules import Schedule


class OneClass(MeasuredClass):
    """The usual problem: one class a text. `other_problems.py` has several labels a text, and numbers."""

    task = "classification"  # its row in `tasks.TASKS`
    configuration: ClassVar[dict[str, Any]] = {"problem_type": "single_label_classification"}

    def check(self, names: list[str], hparams: Any) -> None:
        """Raise a UserError if the names of the classes are unknown, or the data's and the module's differ."""
        ours = hparams["label_names"]
        if not names or ours not in (None, names):
            raise UserError(
                f"The labels of the data are {names or 'not known'}, and label_names is {ours}: without a data module "
                "give SequenceClassifier both label_names and pretrained, with one leave label_names out."
            )

    def begin(self, network: Any, hparams: Any, facts: dict[str, Any]) -> None:
        """Prepare for a new training; `facts` are the data's `label_facts`."""

    def outputs(self, logits: Tensor) -> Tensor:
        """What the module returns for the network's logits: of classes the logits themselves."""
        return logits

    def loss_terms(
        self, outputs: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """The sum of a batch's losses, and what PyTorch's mean would divide it by: the weights of the targets."""
        if labels.ndim != 1 or labels.is_floating_point():
            raise UserError(
                f"The labels of a batch are {labels.dtype} of shape {tuple(labels.shape)}, and classes are torch.int64 "
                "of shape (B,): for several labels or numbers give a data module with `label_facts` (docs/python.md)."
            )
        loss_sum = F.cross_entropy(outputs, labels, weight=weights, reduction="sum", label_smoothing=smoothing)
        kept = labels != IGNORE_INDEX
        return loss_sum, kept.sum() if weights is None else (weights[labels.clamp(min=0)] * kept).sum()


class SequenceClassifier(MeasuredClassifier):
    """A text encoder that puts each text into one of several classes, gives it labels, or a number.

    Which of them the data module decides from the labels (`--data.problem`).

    Labels and tokenizer come from the data module when the Trainer starts, or from a checkpoint with
    `load_from_checkpoint`. A batch is a dict of `input_ids` and `attention_mask` (B, T), or packed (see
    `packing.forward`), and `labels`: classes (B,), 0 and 1 for each label (B, labels), or numbers (B,), float;
    rows labelled -100, or NaN among numbers, are ignored.

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
            n / (k n_c) for n training examples, k classes and n_c examples of the class; null weighs all
            alike. Of several labels it weighs the examples that have the label, balanced (n - n_c) / n_c.
        label_names: The classes' names in the order of their ids, for your own DataLoader, with `pretrained`;
            null takes the data module's.
    """

    task = OneClass.task  # until the data, or a checkpoint, say otherwise

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
        if class_weights is not None:
            from lightning_nlp.models.class_weights import check_class_weights

            check_class_weights(class_weights)
        self.label_names = label_names  # the data's once they are known
        self.problem: OneClass = OneClass()
        self.class_weights: Tensor | None  # a buffer, once the number of classes is known

    def config_overrides(self) -> dict[str, Any]:
        return super().config_overrides() | self.problem.configuration

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """The logits of each class in float32, (B, classes), or a number (B, 1), in the order of the batch."""
        return self.problem.outputs(packing.forward(self.network, batch).float())

    def loss_terms(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        packing.check_batch(batch, "labels")
        smoothing = self.hparams["label_smoothing"]
        return self.problem.loss_terms(self(batch), batch["labels"], self.class_weights, smoothing)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if not self.attached:
            self._set_problem(checkpoint.get("lightning_nlp", {}).get("task"))
        super().on_load_checkpoint(checkpoint)

    def _build(self) -> None:
        data, new = self._data, self.network is None
        facts = getattr(data, "label_facts", {"class_counts": getattr(data, "class_counts", None)})
        problem = facts.get("problem", "classes")  # the others have the names of their tasks
        self._set_problem(OneClass.task if problem == "classes" else problem)
        self.label_names = [str(name) for name in data.label_names or []]
        self.problem.check(self.label_names, self.hparams)
        weights = None
        if self.hparams["class_weights"] is not None:
            from lightning_nlp.models.class_weights import class_weights

            weights = class_weights(self.hparams["class_weights"], facts, self.label_names)
        self.register_buffer("class_weights", weights, persistent=False)
        super()._build()
        if new:
            self.problem.begin(self.network, self.hparams, facts)

    def _set_problem(self, task: str | None) -> None:
        if task != self.task:
            from lightning_nlp.models.other_problems import PROBLEMS

            if task in PROBLEMS:  # else the checkpoint is of another module, and will be refused
                self.problem, self.task = PROBLEMS[task](), task
