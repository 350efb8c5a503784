"""What of a classifier depends on what its labels are: one class a text, several labels, or a number."""

from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_nlp.errors import UserError
from lightning_nlp.evaluation import IGNORE_INDEX, counted
from lightning_nlp.evaluation.number import number_scores
from lightning_nlp.evaluation.several import label_scores

Weights = Literal["balanced"] | list[float] | None
SCORES = {"labels": label_scores, "number": number_scores}  # by task


class Problem(nn.Module):
    """Loss, metrics and predictions; rows that `counted` leaves out have no loss.

    `task` is its row in `tasks.TASKS`; `problem_type` is transformers', and None where labels have no names.
    """

    task: ClassVar[str]
    problem_type: ClassVar[str | None] = None

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
            return torch.tensor(self.balanced(counts, facts))
        if setting is not None and len(setting) != len(names):
            raise UserError(
                f"class_weights has {len(setting)} weights for {len(names)} classes ({', '.join(names)}): "
                "give --model.class_weights one for each."
            )
        return None if setting is None else torch.tensor(setting, dtype=torch.float32)

    def balanced(self, counts: list[int], facts: dict[str, Any]) -> list[float]:
        """Balanced weights, from how many training examples each name has."""
        raise NotImplementedError

    def begin(self, network: Any, hparams: Any, facts: dict[str, Any]) -> None:
        """Prepare for the data of a new training."""

    def outputs(self, logits: Tensor) -> Tensor:
        """What the module gives for the network's logits."""
        return logits

    def loss_terms(
        self, outputs: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """The sum of the losses, and the number to divide it by."""
        raise NotImplementedError

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The plain loss of each example, (B,)."""
        raise NotImplementedError

    def predicted(self, outputs: Tensor) -> Tensor:
        """What the metrics need, (B, ...)."""
        return outputs

    def chances(self, outputs: Tensor) -> Tensor:
        """What `predict_step` gives."""
        return outputs

    def metrics(self, stage: str, number: int) -> Any:
        """Metrics with `update` and `reset`, for `number` names."""
        return Collected()

    def scores(self, metrics: Any, stage: str) -> Any:
        """What of `metrics` is logged at the end of a split: they themselves, or values by name."""
        return {f"{stage}/{name}": value for name, value in SCORES[self.task](*metrics.compute()).items()}


class Collected(nn.Module):
    """The outputs and labels of a split, of all processes, for metrics that need all of them at once."""

    def __init__(self) -> None:
        from torchmetrics import CatMetric

        super().__init__()
        self.parts = nn.ModuleList([CatMetric(nan_strategy="disable") for _ in ("outputs", "labels")])

    def reset(self) -> None:
        """Forget them."""
        for part in self.parts:
            part.reset()  # type: ignore[operator]

    def update(self, outputs: Tensor, labels: Tensor) -> None:
        """Add a batch, without the rows that do not count."""
        kept = counted(labels)
        for part, values in zip(self.parts, (outputs, labels), strict=True):
            part.update(values[kept])  # type: ignore[operator]

    def compute(self) -> list[np.ndarray]:
        """Outputs and labels, (N, ...)."""
        return [torch.as_tensor(part.compute()).float().cpu().numpy() for part in self.parts]  # type: ignore[operator]


class OneClass(Problem):
    """Cross-entropy, accuracy, and macro averages over the classes that occur among the labels or the predictions."""

    task = "classification"
    problem_type = "single_label_classification"

    def balanced(self, counts: list[int], facts: dict[str, Any]) -> list[float]:
        """They are n / (k n_c)."""
        return [sum(counts) / (len(counts) * count) for count in counts]

    def loss_terms(
        self, outputs: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy as PyTorch's mean reduction has it."""
        loss_sum = F.cross_entropy(outputs, labels, weight=weights, reduction="sum", label_smoothing=smoothing)
        kept = labels != IGNORE_INDEX
        # the divisor of PyTorch's weighted mean is the sum of the weights of the targets
        return loss_sum, kept.sum() if weights is None else (weights[labels.clamp(min=0)] * kept).sum()

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Without label smoothing or class weights."""
        return F.cross_entropy(outputs, labels, reduction="none")

    def predicted(self, outputs: Tensor) -> Tensor:
        """The classes, (B,)."""
        return outputs.argmax(dim=-1)

    def chances(self, outputs: Tensor) -> Tensor:
        """The probability of each class, (B, number of classes)."""
        return outputs.softmax(dim=-1)

    def metrics(self, stage: str, number: int) -> Any:
        """Those of torchmetrics."""
        from torchmetrics import MetricCollection, classification

        settings: dict[str, Any] = {"num_classes": number, "ignore_index": IGNORE_INDEX, "validate_args": False}
        return MetricCollection(
            {
                "accuracy": classification.MulticlassAccuracy(average="micro", **settings),
                "precision": classification.MulticlassPrecision(average="macro", zero_division=0, **settings),
                "recall": classification.MulticlassRecall(average="macro", zero_division=0, **settings),
                "f1": classification.MulticlassF1Score(average="macro", zero_division=0, **settings),
            },
            prefix=f"{stage}/",
        )

    def scores(self, metrics: Any, stage: str) -> Any:
        """All of them."""
        return metrics


class SeveralLabels(Problem):
    """Binary cross-entropy, the mean over texts and labels; labels are 0 and 1, (B, number of labels)."""

    task = "labels"
    problem_type = "multi_label_classification"

    def balanced(self, counts: list[int], facts: dict[str, Any]) -> list[float]:
        """They are (n - n_c) / n_c, of the positive examples."""
        return [(facts["rows"] - count) / count for count in counts]

    def loss_terms(
        self, outputs: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """Binary cross-entropy as PyTorch's mean reduction has it, with `pos_weight`."""
        kept = counted(labels)[:, None]
        targets = labels.clamp(min=0).float() * (1 - smoothing) + smoothing / 2
        losses = F.binary_cross_entropy_with_logits(outputs, targets, reduction="none", pos_weight=weights)
        return (losses * kept).sum(), kept.sum() * labels.shape[1]

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The mean over the labels, without smoothing or weights."""
        return F.binary_cross_entropy_with_logits(outputs, labels.float(), reduction="none").mean(-1)

    def chances(self, outputs: Tensor) -> Tensor:
        """The probability of each label, (B, number of labels)."""
        return outputs.sigmoid()
