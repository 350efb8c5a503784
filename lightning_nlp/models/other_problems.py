"""The other problems of a text classifier: several labels per text, or a number."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric

from lightning_nlp.errors import UserError
from lightning_nlp.evaluation import counted
from lightning_nlp.evaluation.scores import label_scores, number_scores
from lightning_nlp.models.classification import OneClass
from lightning_nlp.models.heads import last_layer, new_weights, rescaled


class Scores(Metric):
    """Scores computed from all outputs and labels of a split at once, over all processes."""

    outputs: list[Tensor]
    labels: list[Tensor]

    def __init__(self, score: Callable[[np.ndarray, np.ndarray], dict[str, float]]) -> None:
        super().__init__()
        self.score = score
        for name in ("outputs", "labels"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, outputs: Tensor, labels: Tensor) -> None:
        """Add a batch, without its ignored rows."""
        kept = counted(labels)
        self.outputs.append(outputs[kept])
        self.labels.append(labels[kept])

    def compute(self) -> dict[str, float]:
        """The scores by name."""
        values = [parts if isinstance(parts, Tensor) else torch.cat(parts) for parts in (self.outputs, self.labels)]
        return self.score(*(part.cpu().numpy() for part in values))


class SeveralLabels(OneClass):
    """Binary cross-entropy, the mean over texts and labels; labels are 0 and 1, (B, number of labels)."""

    task = "labels"
    configuration: ClassVar[dict[str, Any]] = {"problem_type": "multi_label_classification"}
    score: ClassVar[Any] = staticmethod(label_scores)

    def loss_terms(
        self, outputs: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        kept = counted(labels)
        return (self.losses(outputs, labels, weights, smoothing) * kept).sum(), kept.sum()

    def losses(self, outputs: Tensor, labels: Tensor, weights: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
        """The mean over the labels, (B,), with the weights as `pos_weight`."""
        targets = labels.clamp(min=0).float() * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(outputs, targets, reduction="none", pos_weight=weights).mean(-1)

    def probabilities(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid()

    def metrics(self, number: int) -> Any:
        return Scores(self.score)


class Number(SeveralLabels):
    """The squared error of (number - mean) / std, with the mean and standard deviation of train.

    Without this a usual learning rate would need thousands of steps to even reach a target like 0..100. Whatever
    leaves the module is in the labels' unit: `outputs`, (B, 1), and by `in_its_unit` the export.
    """

    task = "number"
    configuration: ClassVar[dict[str, Any]] = {"num_labels": 1, "problem_type": "regression"}
    score = staticmethod(number_scores)
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def check(self, names: list[str], hparams: Any) -> None:
        """Raise a UserError for settings that apply only to classes."""
        for name in ("class_weights", "label_smoothing", "keep_head", "label_names"):
            if hparams[name]:
                raise UserError(f"--model.{name} is for classes, and these labels are numbers: leave it out.")

    def begin(self, network: Any, hparams: Any, facts: dict[str, Any]) -> None:
        """Set mean and standard deviation; a pretrained last layer, in another unit, is reinitialised."""
        self.mean.fill_(facts["mean"])
        self.std.fill_(facts["std"] or 1.0)
        if hparams["pretrained"] is not None:
            new_weights(output_layer(network), network.config)

    def outputs(self, logits: Tensor) -> Tensor:
        return logits * self.std + self.mean

    def losses(self, outputs: Tensor, labels: Tensor, *_: Any) -> Tensor:
        """The squared errors, (B,)."""
        return ((outputs.squeeze(-1) - labels.nan_to_num()) / self.std).square()

    def probabilities(self, outputs: Tensor) -> Tensor:
        return outputs


PROBLEMS: dict[str, type[OneClass]] = {kind.task: kind for kind in (OneClass, SeveralLabels, Number)}


def output_layer(network: Any) -> nn.Linear:
    """The layer that outputs the number, or the last one: the proof of an export would notice a mistake."""
    known = last_layer(network)
    return known or [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


def in_its_unit(network: Any, problem: Any) -> AbstractContextManager[None]:
    """In this context the network returns numbers in the labels' unit; other problems are unaffected."""
    if not isinstance(problem, Number):
        return nullcontext()
    return rescaled(output_layer(network), 1 / float(problem.std), float(problem.mean))
