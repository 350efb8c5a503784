"""A step whose loss or gradient is not finite never reaches the weights; it is named, saved, and ends the training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer

from lightning_nlp.atomic_files import write_tensors
from lightning_nlp.errors import UserError, warn_user
from lightning_nlp.training.optimizer import is_log_step

SHOWN = 5  # parameters and texts that a message names; the file has all


class NotFinite(UserError):
    """A step was not finite, and no more of them may be left out."""


class Step(NamedTuple):
    """An optimizer step that nobody has looked at yet."""

    number: int  # from 1
    batches: list[int]  # of the epoch
    losses: list[Tensor]  # of each batch
    parameters: list[tuple[str, str]]  # (group, name) of those with a gradient
    norms: Tensor  # of their gradients
    failed: Tensor  # whether anything is not finite: 1.0 or 0.0, a scalar


class Finite(Callback):
    """Keeps losses and gradients that are not finite (NaN, infinite, or with a norm beyond float32) from the weights.

    On a GPU nobody waits for the answer: the fused AdamW reads a flag on the device, its `found_inf`, and
    then changes neither weights nor its own state. Flags are read in the steps that Lightning logs in, and
    before a validation. On a CPU, where reading costs nothing, the training stops at the very step. The
    schedule counts a step that was left out.

    The scaled gradients of `16-mixed` overflow now and then by design, and its scaler leaves such steps out;
    there only the loss counts.

    Args:
        folder: Where each such step is saved, as `step_N.safetensors`: the tensors of its batches under names
            such as `0/input_ids`, and the report as JSON in the metadata.
        skip: How many such steps may be left out before the training stops; a resumed training goes on
            counting.
        deferred: Whether flags are read at log steps only; None for what the device needs.

    Raises:
        UserError: If `skip` is below 0.
        NotFinite: In training.
    """

    def __init__(self, folder: Path, skip: int = 0, *, deferred: bool | None = None) -> None:
        if skip < 0:
            raise UserError(f"skip_nonfinite is {skip}, below 0: give --skip_nonfinite a number of steps.")
        self.folder = folder
        self.skip = skip
        self.skipped = 0
        self.deferred = deferred
        self._names: dict[Tensor, str] = {}
        self._batches: list[int] = []
        self._losses: list[Tensor] = []
        self._steps: list[Step] = []

    def state_dict(self) -> dict[str, Any]:
        """The steps left out so far."""
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.skipped = state_dict["skipped"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Learn the names of the parameters."""
        self._names = {parameter: name for name, parameter in pl_module.named_parameters()}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """No gradient is carried from one epoch into the next."""
        self._batches, self._losses = [], []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Note which batches make the step."""
        self._batches.append(batch_idx)

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Note the batch's loss, on its device."""
        self._losses.append(loss.detach())

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:
        """Look at the gradients, all accumulated, and keep the optimizer from using bad ones."""
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        parameters, gradients = [], []
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and not scaled:
                    parameters.append((group.get("name", ""), self._names[parameter]))
                    gradients.append(parameter.grad)
        norms = torch.stack(torch._foreach_norm(gradients)) if gradients else torch.zeros(0, device=pl_module.device)
        failed = (~torch.cat([norms, torch.stack(self._losses)]).isfinite().all()).float()
        self._steps.append(Step(trainer.global_step + 1, self._batches, self._losses, parameters, norms, failed))
        self._batches, self._losses = [], []
        fused = bool(optimizer.defaults.get("fused"))
        deferred = pl_module.device.type == "cuda" and fused if self.deferred is None else self.deferred
        if not deferred:
            failed = self._look(trainer)
        if fused:
            optimizer.found_inf = failed  # type: ignore[attr-defined]
        elif failed:
            optimizer.zero_grad()  # what has no gradient is not changed

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look in the steps that Lightning logs in."""
        if is_log_step(trainer, trainer.global_step):
            self._look(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look before the validation, and before the checkpoint after it."""
        self._look(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look while the loader still stands in this epoch."""
        self._look(trainer)

    def _look(self, trainer: Trainer) -> Tensor:
        """Read the flags of all steps since the last look: wait for the device, once. Returns the last step's."""
        steps, self._steps = self._steps, []
        if not steps:
            return torch.zeros(())
        flags = torch.stack([step.failed for step in steps])
        if trainer.world_size > 1:  # gradients and our modules' losses agree already; another module's may not
            flags = trainer.strategy.reduce(flags, reduce_op="max")
        for step, failed in zip(steps, flags.tolist(), strict=True):
            if not failed:
                continue
            what = self._save(trainer, step)
            if self.skipped >= self.skip:
                resume = "--ckpt_path last and " if (self.folder.parent / "checkpoints" / "last.ckpt").is_file() else ""
                allowed = f", after {self.skipped} that --skip_nonfinite left out" if self.skipped else ""
                raise NotFinite(
                    f"Step {step.number} is not finite{allowed}: {what}. It has not reached the weights: give the same "
                    f"command {resume}a lower --model.lr, or --skip_nonfinite {self.skip + 1} to leave it out."
                )
            self.skipped += 1
            warn_user(f"Step {step.number} is not finite and was left out ({self.skipped} of {self.skip}): {what}.")
        return flags[-1]

    def _save(self, trainer: Trainer, step: Step) -> str:
        """Write a step down, and describe it in some clauses."""
        bad = [name for name, fine in zip(step.parameters, step.norms.isfinite().tolist(), strict=True) if not fine]
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        factor = trainer.accumulate_grad_batches / (scaler.get_scale() if scaler is not None else 1)
        losses = [float(loss) * factor for loss in step.losses]  # Lightning has divided each, and the scaler multiplied
        rows: list[list[int]] = []
        tensors: dict[str, Tensor] = {}
        loader: Any = trainer.train_dataloader
        for number, place in enumerate(step.batches):
            if hasattr(loader, "batch"):  # our own can make each batch again
                examples, batch = loader.batch(place)
                rows.append(examples)
                tensors |= {f"{number}/{name}": torch.as_tensor(value).clone() for name, value in batch.items()}
        report = {
            "step": step.number,
            "epoch": trainer.current_epoch,
            "batches": step.batches,
            "losses": [str(loss) for loss in losses],  # JSON knows no NaN
            "parameters": {group: [name for of, name in bad if of == group] for group in dict(bad)},
            "examples": rows,
        }
        gradients = some([f"{name} ({group})" for group, name in bad]) if bad else "none"
        texts = some([str(row) for batch in rows for row in batch]) if rows else "unknown"
        path = self.folder / f"step_{step.number}.safetensors"
        try:
            if trainer.is_global_zero:
                write_tensors(path, tensors, {"report": json.dumps(report)})
            saved = f"saved as {path}"
        except OSError as error:
            saved = f"{path} cannot be written ({error.strerror})"
        return (
            f"loss {', '.join(f'{loss:.4g}' for loss in losses)}; gradients not finite: {gradients}; "
            f"rows of train in it: {texts}; {saved}"
        )


def some(items: list[str]) -> str:
    """The first few of a list, and how many more there are."""
    more = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {more} more" if more > 0 else "")
