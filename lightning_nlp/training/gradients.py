"""The gradient of one optimizer step: an exact mean over its batches, measured once, logged and clipped."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_nlp.private_api import multiply_all, norms_of
from lightning_nlp.training.schedules import is_log_step


class Gradients:
    """Makes the gradient of accumulated batches that of their joint mean, however unequal the batches are.

    Lightning divides each batch's loss by the N batches accumulated. That is the mean over all examples only if every
    batch has the same count, which is false for masked tokens and for the last batch of an epoch. So each loss is a sum
    s_i over a reference count c, the first batch's, and the accumulated gradient, that of sum(s_i) / (N c), is
    multiplied by N c / sum(c_i) before it is measured and used. A step cut short by the end of an epoch is exact too.
    With several ranks the counts are means over the ranks, as DDP's gradients are. Counts stay on the device.

    In a step, `training_step` calls `loss` for each batch. Then `callbacks/nonfinite.py` calls `finish`, the module's
    hooks `log` and `clip`. Nothing else may change the gradients in between.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget batches that no optimizer step will use."""
        self._counts: list[Tensor] = []  # of the batches so far
        self._measured: tuple[int, dict[nn.Parameter, Tensor], Tensor] | None = None  # `global_step`, and its norms

    def loss(self, loss_sum: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """What `training_step` returns for one batch, and what it logs: without a graph, the mean of all processes.

        A loss that is finite here but not in another process becomes that mean, so that all skip the step.

        Args:
            loss_sum: The sum of the losses of the batch, a scalar with a graph.
            count: The number of terms, or the sum of their weights; 0 for an empty batch.
        """
        joint = torch.stack([loss_sum.detach().to(torch.float32), count.detach().to(torch.float32)])
        joint_sum, joint_count = _mean_over_ranks(joint)
        self._counts.append(joint_count)
        loss, mean = loss_sum / _positive(self._counts[0]), joint_sum / _positive(joint_count)
        elsewhere = loss.isfinite() & ~mean.isfinite()
        return torch.where(elsewhere, mean, loss), mean

    def finish(self, trainer: Trainer, optimizer: Optimizer) -> tuple[dict[nn.Parameter, Tensor], Tensor]:
        """Make the accumulated gradient exact; returns each parameter's norm and the whole's, computed once a step."""
        if self._measured is None or self._measured[0] != trainer.global_step:
            parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
            gradients: list[Any] = [parameter.grad for parameter in parameters]
            accumulate, counts = trainer.accumulate_grad_batches, self._counts
            if gradients and counts and (len(counts), accumulate) != (1, 1):
                multiply_all(gradients, accumulate * _positive(counts[0]) / _positive(sum(counts)))
            norms = list(norms_of(gradients)) if gradients else []
            self.reset()
            self._measured = trainer.global_step, dict(zip(parameters, norms, strict=True)), total_norm(norms)
        return self._measured[1:]

    def log(self, module: LightningModule, optimizer: Optimizer) -> None:
        """In log steps, log `train/lr` and `train/grad_norm`, the whole gradient's before clipping."""
        norms, _ = self.finish(module.trainer, optimizer)
        if is_log_step(module.trainer, module.trainer.global_step + 1):
            module.log("train/lr", optimizer.param_groups[0]["lr"])  # a float, which `log` copies to the device
            # in the module's order, since the order of a float32 sum decides its last digit
            module.log("train/grad_norm", total_norm([norms[p] for p in module.parameters() if p in norms]))

    def clip(self, trainer: Trainer, optimizer: Optimizer, value: float | None, algorithm: str | None) -> None:
        """Clip as Lightning does, by the known norms; in bf16 with a fused optimizer too, which Lightning refuses."""
        if value is None or value <= 0:
            return
        norms, total = self.finish(trainer, optimizer)
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            trainer.precision_plugin.clip_gradients(optimizer, value, GradClipAlgorithmType(algorithm or "norm"))
        elif algorithm == "value":
            torch.nn.utils.clip_grad_value_(norms, value)
        elif norms:
            torch.nn.utils.clip_grads_with_norm_(norms, value, total)


def total_norm(norms: list[Tensor]) -> Tensor:
    """The norm of a whole gradient from those of its parts."""
    return torch.linalg.vector_norm(torch.stack(norms)) if norms else torch.zeros(())


def _positive(count: Any) -> Tensor:
    return torch.where(count > 0, count, 1)  # a divisor


def _mean_over_ranks(values: Tensor) -> Tensor:
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    values = values.clone()
    distributed.all_reduce(values)
    return values / distributed.get_world_size()
