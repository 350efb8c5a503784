"""An exact mean over the batches that are accumulated for one optimizer step."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class AccumulatedMean:
    """Makes the gradient of accumulated batches that of their joint mean, however unequal the batches are.

    Lightning divides each batch's loss by the N batches accumulated. That is the mean over all examples only
    if every batch has the same count; masked language modelling, and the last batch of an epoch, do not. So
    each loss is a sum s_i over a reference count c, the first batch's, and the accumulated gradient, that of
    sum(s_i) / (N c), is multiplied by N c / sum(c_i) before it is clipped and used. A window cut short by the
    end of an epoch is exact too. With several ranks c and sum(c_i) are means over the ranks, which agree with
    the mean that DDP takes of the gradients. The counts stay tensors, so no device waits for them.
    """

    def __init__(self) -> None:
        self._reference: Tensor | None = None
        self._total: Tensor | None = None
        self._batches = 0

    def loss(self, loss_sum: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """What `training_step` returns for one batch, and what it logs.

        Args:
            loss_sum: The sum of the losses of the batch, a scalar with a graph.
            count: What the sum is to be divided by: how many terms, or their weights' sum; 0 for an empty
                batch.

        Returns:
            The sum over the reference count; and, without a graph, the batch's mean loss over all processes:
            what a single process with all of their examples would have. A loss that is finite here but not in
            another process becomes that mean, so that all leave the step out without asking each other
            (callbacks/finite.py).
        """
        joint = torch.stack([loss_sum.detach().to(torch.float32), count.detach().to(torch.float32)])
        joint_sum, joint_count = _mean_over_ranks(joint)
        if self._reference is None or self._total is None:
            self._reference = _positive(joint_count)
            self._total = torch.zeros_like(joint_count)
        self._total = self._total + joint_count
        self._batches += 1
        loss, mean = loss_sum / self._reference, joint_sum / _positive(joint_count)
        elsewhere = loss.isfinite() & ~mean.isfinite()
        return torch.where(elsewhere, mean, loss), mean

    def rescale(self, parameters: Iterable[nn.Parameter], accumulate: int) -> None:
        """Correct the accumulated gradients in place; for `on_before_optimizer_step`."""
        if self._reference is not None and self._total is not None and (self._batches, accumulate) != (1, 1):
            factor = accumulate * self._reference / _positive(self._total)
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            if gradients:
                torch._foreach_mul_(gradients, factor)
        self.reset()

    def reset(self) -> None:
        """Forget a window that no optimizer step will close."""
        self._reference = self._total = None
        self._batches = 0


def _positive(count: Tensor) -> Tensor:
    """A divisor: 1 in the place of 0."""
    return torch.where(count > 0, count, torch.ones_like(count))


def _mean_over_ranks(values: Tensor) -> Tensor:
    """The mean over the processes of a distributed run; the values themselves elsewhere."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return values
    values = values.clone()
    distributed.all_reduce(values)
    return values / distributed.get_world_size()
