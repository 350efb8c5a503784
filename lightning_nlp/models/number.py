"""Numbers: the network learns them standardised, and its export gives them in their own unit."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lightning_nlp.errors import UserError
from lightning_nlp.evaluation import counted
from lightning_nlp.models.heads import last_layer
from lightning_nlp.models.problem import Problem, Weights


class Number(Problem):
    """The squared error of (number - mean) / std, with mean and standard deviation of train.

    Without this a usual learning rate would need thousands of steps to reach a target like 0..100 at all. All
    that leaves the module is in the labels' unit: `outputs`, (B, 1), and by `in_its_unit` the export.
    """

    task = "number"
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("std", torch.ones(()))

    def configuration(self, names: list[str]) -> dict[str, Any]:
        """The regression form of transformers."""
        return {"num_labels": 1, "problem_type": "regression"}

    def class_weights(self, setting: Weights, facts: dict[str, Any], names: list[str]) -> Tensor | None:
        """None; numbers have no classes."""
        if setting is not None:
            raise UserError("--model.class_weights are for classes, these labels are numbers: leave them out.")
        return None

    def begin(self, network: Any, hparams: Any, facts: dict[str, Any]) -> None:
        """Take mean and standard deviation of train; a pretrained last layer, of another unit, is new."""
        for name in ("label_smoothing", "keep_head"):
            if hparams[name]:
                raise UserError(f"--model.{name} is for classes, and these labels are numbers: leave it out.")
        self.mean.fill_(facts["mean"])
        self.std.fill_(facts["std"] or 1.0)
        if hparams["pretrained"] is not None:
            layer = output_layer(network)
            nn.init.normal_(layer.weight, std=getattr(network.config, "initializer_range", 0.02))
            nn.init.zeros_(layer.bias)

    def outputs(self, logits: Tensor) -> Tensor:
        """In the labels' unit."""
        return logits * self.std + self.mean

    def loss_terms(
        self, outputs: Tensor, labels: Tensor, weights: Tensor | None, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        """The sum of squared errors, and the number of labels."""
        kept = counted(labels)
        return (self.losses(outputs, labels.nan_to_num()) * kept).sum(), kept.sum()

    def losses(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The squared errors, (B,)."""
        return ((outputs.squeeze(-1) - labels) / self.std).square()


def output_layer(network: Any) -> nn.Linear:
    """The layer that makes the number; where it is not known the last, and an export's proof would notice."""
    known = last_layer(network)
    return known or [module for module in network.modules() if isinstance(module, nn.Linear)][-1]


@contextmanager
def in_its_unit(network: Any, problem: Any) -> Iterator[None]:
    """Let a network itself give numbers in the labels' unit meanwhile; other problems change nothing."""
    if not isinstance(problem, Number):
        yield
        return
    layer, std, mean = output_layer(network), problem.std.cpu().double(), problem.mean.cpu().double()
    weight, bias = layer.weight.data, layer.bias.data
    layer.weight.data = (weight.double() * std).to(weight.dtype)
    layer.bias.data = (bias.double() * std + mean).to(bias.dtype)
    try:
        yield
    finally:
        layer.weight.data, layer.bias.data = weight, bias
