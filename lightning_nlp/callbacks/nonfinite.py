"""A step whose loss or gradient is not finite never changes the weights: it is saved, and ends the training."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_nlp.errors import UserError, check_range, warn_user
from lightning_nlp.training.gradients import Gradients
from lightning_nlp.training.schedules import is_log_step


class NotFinite(UserError):
    """A step was not finite, and no more of them may be skipped."""


class Step(NamedTuple):
    """An optimizer step whose flag has not been read yet."""

    number: int  # from 1
    batches: list[tuple[int, Tensor]]  # place in the epoch, and loss
    norms: dict[nn.Parameter, Tensor]  # of the gradients
    failed: Tensor  # whether the whole gradient or a loss is not finite: 1.0 or 0.0, a scalar


class NonFiniteSteps(Callback):
    """Keeps losses and gradients that are not finite (NaN, infinite, or with a norm beyond float32) from the weights.

    On a GPU nothing waits: while the flag `found_inf` on the device is set, the fused AdamW changes neither
    weights nor state. Flags are read in log steps and before a validation; on a CPU at each step. The
    schedule counts skipped steps. In `16-mixed`, where the scaler skips steps whose gradients overflow, only
    the loss counts.

    Args:
        folder: Where `save_step` writes each such step.
        skip: How many such steps may be skipped before the training stops, resumes included.
        deferred: Whether flags are read at log steps only; None decides by the device.
    """

    state_key = "Finite"  # its name in all checkpoints so far

    def __init__(self, folder: Path, skip: int = 0, *, deferred: bool | None = None) -> None:
        check_range("--skip_nonfinite", skip, 0)
        self.folder, self.skip, self.deferred = folder, skip, deferred
        self.skipped = 0
        self._batches: list[tuple[int, Tensor]] = []
        self._steps: list[Step] = []

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.skipped = state_dict["skipped"]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._batches = []  # no gradient is carried over into the next epoch

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        self._batches.append((trainer.fit_loop.batch_idx, loss.detach()))

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        own = getattr(pl_module, "gradients", None)  # a user's own module has none
        norms, total = (own if isinstance(own, Gradients) else Gradients()).finish(trainer, optimizer)
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            norms = {}  # the scaler looks at the gradients
        checked = [*([total] if norms else []), *(loss for _, loss in self._batches)]
        failed = (~torch.stack(checked).isfinite().all()).float()
        self._steps.append(Step(trainer.global_step + 1, self._batches, norms, failed))
        self._batches = []
        fused = bool(optimizer.defaults.get("fused"))
        deferred = pl_module.device.type == "cuda" and fused if self.deferred is None else self.deferred
        if not deferred:
            failed = self._read_flags(trainer)
        if fused:
            optimizer.found_inf = failed  # type: ignore[attr-defined]
        elif failed:
            optimizer.zero_grad()  # without a gradient, a parameter is not changed

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if is_log_step(trainer):
            self._read_flags(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._read_flags(trainer)

    on_train_epoch_end = on_validation_start  # while the loader is still in this epoch

    def _read_flags(self, trainer: Trainer) -> Tensor:
        """Read all flags since the last time, waiting for the device once; returns the last."""
        steps, self._steps = self._steps, []
        if not steps:
            return torch.zeros(())
        flags = torch.stack([step.failed for step in steps])
        if trainer.world_size > 1:  # gradients and our modules' losses agree already; another module's may not
            flags = trainer.strategy.reduce(flags, reduce_op="max")
        for step, failed in zip(steps, flags.tolist(), strict=True):
            if not failed:
                continue
            from lightning_nlp.callbacks.nonfinite_report import save_step

            what = save_step(trainer, step, self.folder)
            if self.skipped >= self.skip:
                allowed = f", after {self.skipped} that --skip_nonfinite left out" if self.skipped else ""
                raise NotFinite(
                    f"Step {step.number} is not finite{allowed}: {what}. It has not reached the weights: give a "
                    f"lower --model.lr, or --skip_nonfinite {self.skip + 1} to leave it out.",
                    can_go_on=True,
                )
            self.skipped += 1
            warn_user(f"Step {step.number} is not finite and was left out ({self.skipped} of {self.skip}): {what}.")
        return flags[-1]
