"""The loss of a masked language model: cross-entropy over a large vocabulary, without float32 copies of the logits."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

# Logits computed at a time on a CPU: 6 MiB in float32, which stay in its caches and in reused memory.
BLOCK = 1_600_000


def cross_entropy_sum(logits: Tensor, targets: Tensor) -> Tensor:
    """The sum of the cross-entropies, computed in float32.

    The value and gradient of `F.cross_entropy(logits.float(), targets, reduction="sum")`, which allocates four
    float32 tensors of the logits' shape, 66 MB each for 330 tokens and 50,000 words; allocating them takes a
    CPU a twentieth of a step (benchmarks/README.md). Here only a few rows at a time are float32.

    Args:
        logits: (n, vocabulary), of any floating type.
        targets: (n,) int64, none ignored; n may be 0.
    """
    if logits.is_cuda:
        return F.cross_entropy(logits.float(), targets, reduction="sum")
    loss: Tensor = _CrossEntropySum.apply(logits, targets)
    return loss


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
        """Return (softmax - one-hot) * scale, rounded once, at the end."""
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
    return max(1, BLOCK // logits.shape[1])
