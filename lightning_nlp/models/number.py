"""Numbers: the network learns them standardised, and its export gives them in their own unit."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from lightning_nlp.evaluation.scores import number_scores
from lightning_nlp.models.heads import last_layer, rescaled
from lightning_nlp.models.problem import Problem


class Number(Problem):
    """The squared error of (number - mean) / std, with mean and standard deviation of train.

    Without this a usual learning rate would need thousands of steps to reach a target like 0..100 at all. All
    that leaves the module is in the labels' unit: `outputs`, (B, 1), and by `in_its_unit` the export.
    """

    task = "number"
    problem_type = None
    refused = ("class_weights", "label_smoothing", "keep_head")
    score = staticmethod(number_scores)
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def configuration(self, names: list[str]) -> dict[str, Any]:
        """The regression form of transformers."""
        return {"num_labels": 1, "problem_type": "regression"}

    def begin(self, network: Any, hparams: Any, facts: dict[str, Any]) -> None:
        """Take mean and standard deviation of train; a pretrained last layer, of another unit, is new."""
        self.mean.fill_(facts["mean"])
        self.std.fill_(facts["std"] or 1.0)
        if hparams["pretrained"] is not None:
            layer = output_layer(network)
            nn.init.normal_(layer.weight, std=getattr(network.config, "initializer_range", 0.02))
            nn.init.zeros_(layer.bias)

    def outputs(self, logits: Tensor) -> Tensor:
        """In the labels' unit."""
        return logits * self.std + self.mean

    def losses(self, outputs: Tensor, labels: Tensor, *_: Any) -> Tensor:
        """The squared errors, (B,)."""
        return ((outputs.squeeze(-1) - labels.nan_to_num()) / self.std).square()


def output_layer(network: Any) -> nn.Linear:
    """The layer that makes the number; where it is not known the last, and an export's proof would notice."""
    known = last_layer(network)
    return known or [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


def in_its_unit(network: Any, problem: Any) -> AbstractContextManager[None]:
    """Let a network itself give numbers in the labels' unit meanwhile; other problems change nothing."""
    if not isinstance(problem, Number):
        return nullcontext()
    return rescaled(output_layer(network), 1 / float(problem.std), float(problem.mean))
