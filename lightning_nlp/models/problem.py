"""What of a classifier depends on what its labels are: one class a text, several labels, or a number."""

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection, classification

from lightning_nlp.errors import UserError
from lightning_nlp.evaluation import IGNORE_INDEX, counted
from lightning_nlp.evaluation.scores import label_scores

Weights = Literal["balanced"] | list[float] | None


class Problem(nn.Module):
    """Loss, metrics and predictions.

    `outputs` are what the module makes of the network's logits. Rows that `counted` leaves out have no loss.
    """

    task: ClassVar[str]  # its row in `tasks.TASKS`
    problem_type: ClassVar[str | None]  # transformers'; None where labels have no names
    refused: ClassVar[tuple[str, ...]] = ()  # settings of the module that have no meaning here
    # functions, of which mypy would make methods
    score: ClassVar[Any]  # of all outputs and labels of a split, (N, ...) both
    predicted: ClassVar[Any] = staticmethod(lambda outputs: outputs)  # what the metrics need of outputs
    chances: ClassVar[Any] = staticmethod(lambda outputs: outputs)  # what `predict_step` gives of them
    balanced: ClassVar[Any]  # a class's weight by the numbers of training examples, of names, of its examples

    def configuration(self, names: list[str]) -> dict[str, Any]:
        """What the configuration of the network says."""
        label2id = {name: number for number, name in enumerate(names)}
        return {"id2label": dict(enumerate(names)), "label2id": label2id, "problem_type": self.problem_type}

    def class_weights(self, setting: Weights, facts: dict[str, Any], names: list[str]) -> Tensor | None:
        """The weights of the training loss, (names,), or None; `facts` are the data's `label_facts`."""
        if setting == "balanced":
            counts = facts.get("class_counts")
            if counts is None:
                raise UserError(
                    "class_weights balanced needs a data module to count: give --model.class_weights a list."
                )
            if 0 in counts:
                raise UserError(
                    f"No training example has the label {names[counts.index(0)]!r}, so its balanced weight is "
                    "infinite: give --model.class_weights a list or null."
                )
            rows = facts.get("rows", sum(counts))
            return torch.tensor([self.balanced(rows, len(names), count) for count in counts])
        if setting is not None and len(setting) != len(names):
            raise UserError(
                f"class_weights has {len(setting)} weights for {len(names)} classes ({', '.join(names)}): "
                "give --model.class_weights one for each."
            )
        return None if setting is None else torch.tensor(setting, dtype=torch.float32)

    def begin(self, network: Any, hparams: Any, facts: dict[str, Any]) -> None:
        """Prepare for the data of a new training."""

    def outputs(self, logits: Tensor) -> Tensor:
        """What the module gives for the network's logits."""
        return logits

    def loss_terms(
        self, outputs: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """The sum of the losses, and the number to divide it by."""
        kept = counted(labels)
        return (self.losses(outputs, labels, weights, smoothing) * kept).sum(), kept.sum()

    def losses(self, outputs: Tensor, labels: Tensor, weights: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
        """The loss of each example, (B,); an evaluation's has no weights and no label smoothing."""
        raise NotImplementedError

    def metrics(self, stage: str, number: int) -> Any:
        """What is updated with `predicted` and labels and computes the scores by name, for `number` names."""
        return Scores(self.score, f"{stage}/")


class Scores(Metric):
    """Scores that need all outputs and labels of a split at once, of all processes."""

    outputs: list[Tensor]
    labels: list[Tensor]

    def __init__(self, score: Callable[[np.ndarray, np.ndarray], dict[str, float]], prefix: str) -> None:
        super().__init__()
        self.score, self.prefix = score, prefix
        for name in ("outputs", "labels"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, outputs: Tensor, labels: Tensor) -> None:
        """Add a batch, without the rows that do not count."""
        kept = counted(labels)
        self.outputs.append(outputs[kept])
        self.labels.append(labels[kept])

    def compute(self) -> dict[str, float]:
        """The scores by name."""
        found = [parts if isinstance(parts, Tensor) else torch.cat(parts) for parts in (self.outputs, self.labels)]
        return {f"{self.prefix}{name}": value for name, value in self.score(*(x.cpu().numpy() for x in found)).items()}


class OneClass(Problem):
    """Cross-entropy, accuracy, and macro averages over the classes that occur among the labels or the predictions."""

    task = "classification"
    problem_type = "single_label_classification"
    predicted = staticmethod(partial(torch.argmax, dim=-1))
    chances = staticmethod(partial(torch.softmax, dim=-1))
    balanced = staticmethod(lambda rows, names, count: rows / (names * count))

    def loss_terms(
        self, outputs: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy as PyTorch's mean reduction has it."""
        if labels.ndim != 1 or labels.is_floating_point():
            raise UserError(
                f"The labels of a batch are {labels.dtype} of shape {tuple(labels.shape)}, and classes are torch.int64 "
                "of shape (B,): for several labels or numbers give a data module with `label_facts` (docs/python.md)."
            )
        loss_sum = F.cross_entropy(outputs, labels, weight=weights, reduction="sum", label_smoothing=smoothing)
        kept = labels != IGNORE_INDEX
        # the divisor of PyTorch's weighted mean is the sum of the weights of the targets
        return loss_sum, kept.sum() if weights is None else (weights[labels.clamp(min=0)] * kept).sum()

    def losses(self, outputs: Tensor, labels: Tensor, *_: Any) -> Tensor:
        """Cross-entropy, (B,)."""
        return F.cross_entropy(outputs, labels, reduction="none")

    def metrics(self, stage: str, number: int) -> Any:
        """Those of torchmetrics."""
        settings: dict[str, Any] = {"num_classes": number, "ignore_index": IGNORE_INDEX, "validate_args": False}
        macro = settings | {"average": "macro", "zero_division": 0}
        return MetricCollection(
            {
                "accuracy": classification.MulticlassAccuracy(average="micro", **settings),
                "precision": classification.MulticlassPrecision(**macro),
                "recall": classification.MulticlassRecall(**macro),
                "f1": classification.MulticlassF1Score(**macro),
            },
            prefix=f"{stage}/",
        )


class SeveralLabels(Problem):
    """Binary cross-entropy, the mean over texts and labels; labels are 0 and 1, (B, number of labels)."""

    task = "labels"
    problem_type = "multi_label_classification"
    chances = staticmethod(torch.sigmoid)
    score = staticmethod(label_scores)
    balanced = staticmethod(lambda rows, names, count: (rows - count) / count)

    def losses(self, outputs: Tensor, labels: Tensor, weights: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
        """The mean over the labels, (B,), with the weights as `pos_weight`."""
        targets = labels.clamp(min=0).float() * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(outputs, targets, reduction="none", pos_weight=weights).mean(-1)
