"""The loss of a masked language model: cross-entropy over a large vocabulary, without float32 copies of the logits."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# Numbers computed at a time on a CPU: 6 MiB in float32, which stay in its caches and in memory that it keeps.
BLOCK = 1_600_000


def cross_entropy_sum(logits: Tensor, targets: Tensor) -> Tensor:
    """The sum of the cross-entropies, computed in float32.

    As `F.cross_entropy(logits.float(), targets, reduction="sum")`, with the same gradient. That makes four tensors of
    the logits' shape in float32, 66 MB each for 330 tokens and 50,000 words, and a CPU spends a twentieth of a step on
    their new memory (benchmarks/README.md); here a few rows at a time are float32.

    Args:
        logits: (n, vocabulary), of any floating type.
        targets: (n,) int64, none to be ignored; n may be 0.

    Returns:
        A float32 scalar.
    """
    if logits.is_cuda:
        return F.cross_entropy(logits.float(), targets, reduction="sum")
    loss: Tensor = _CrossEntropySum.apply(logits, targets)
    return loss


def mean_metric() -> Any:
    """A mean over an epoch, of single terms.

    A NaN loss shall show as NaN, and looking for it in each batch would wait for the device. With this
    setting torchmetrics 1.9 leaves weights out of account in silence, so it is given no batch means.
    """
    from torchmetrics import MeanMetric

    return MeanMetric(nan_strategy="disable")


class _CrossEntropySum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor) -> Tensor:
        normalizers = [rows.float().logsumexp(dim=-1) for rows in logits.split(_rows(logits))]
        normalizer = torch.cat(normalizers)
        ctx.save_for_backward(logits, targets, normalizer)
        return (normalizer - logits.gather(1, targets[:, None]).squeeze(1).float()).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, None]:
        """Give (softmax - one-hot) * scale, rounded once, at the end."""
        logits, targets, normalizer = ctx.saved_tensors
        gradient = torch.empty_like(logits)
        size = _rows(logits)
        for part, rows, target, norm in zip(
            *(x.split(size) for x in (gradient, logits, targets, normalizer)), strict=True
        ):
            probabilities = (rows - norm[:, None]).exp_()  # float32, as the normalizer is
            probabilities.scatter_add_(1, target[:, None], probabilities.new_full((len(target), 1), -1.0))
            part.copy_(probabilities.mul_(scale))
        return gradient, None


def _rows(logits: Tensor) -> int:
    """How many rows make a block."""
    return max(1, BLOCK // logits.shape[1])
