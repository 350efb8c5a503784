"""What a step that is not finite leaves: its batches and losses as a file, and their description for a message."""

import json
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from torch import Tensor

from lightning_nlp.atomic_files import write_tensors
from lightning_nlp.callbacks.nonfinite import Step

SHOWN = 5  # parameters and texts that a message names; the file has all


def save_step(trainer: Trainer, step: Step, folder: Path) -> str:
    """Write `step_N.safetensors`, and describe the step for a message.

    The file has the step's batches as `0/input_ids` etc., and a report as JSON in its metadata.
    """
    names = {parameter: name for name, parameter in trainer.lightning_module.named_parameters()}
    param_groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
    groups = {parameter: group.get("name", "") for group in param_groups for parameter in group["params"]}
    bad: dict[str, list[str]] = {}
    for parameter, norm in step.norms.items():
        if not norm.isfinite():
            bad.setdefault(groups[parameter], []).append(names[parameter])
    scaler = getattr(trainer.precision_plugin, "scaler", None)
    factor = trainer.accumulate_grad_batches / (scaler.get_scale() if scaler is not None else 1)
    losses = [float(loss) * factor for _, loss in step.batches]  # Lightning has divided, and the scaler multiplied
    rows: list[list[int]] = []
    tensors: dict[str, Tensor] = {}
    loader: Any = trainer.train_dataloader
    for number, (place, _) in enumerate(step.batches):
        if hasattr(loader, "plan"):  # ours can make each batch again
            # counted from the end: after a resume in another layout, the epoch's first ones are missing
            rows.append(loader.plan.batches()[place - len(loader.plan)].tolist())
            batch = loader.batches[loader.plan.epoch, rows[-1]]
            tensors |= {f"{number}/{name}": torch.as_tensor(value).clone() for name, value in batch.items()}
    report = {
        "step": step.number,
        "epoch": trainer.current_epoch,
        "batches": [place for place, _ in step.batches],
        "losses": [str(loss) for loss in losses],  # JSON has no NaN
        "parameters": bad,
        "examples": rows,
    }
    path = folder / f"step_{step.number}.safetensors"
    try:
        if trainer.is_global_zero:
            write_tensors(path, tensors, {"report": json.dumps(report)})
        saved = f"saved as {path}"
    except OSError as error:
        saved = f"{path} cannot be written ({error.strerror})"
    return (
        f"loss {', '.join(f'{loss:.4g}' for loss in losses)}; gradients not finite: "
        f"{_some([f'{name} ({group})' for group in bad for name in bad[group]]) or 'none'}; rows of train in it: "
        f"{_some([str(row) for batch in rows for row in batch]) or 'unknown'}; {saved}"
    )


def _some(items: list[str]) -> str:
    more = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {more} more" if more > 0 else "")
