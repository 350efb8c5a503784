"""What a training says before its first step: how long it is, whether a validation comes, why it has no MFU."""

import math
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info

from lightning_nlp.errors import UserError
from lightning_nlp.tasks import TASKS
from lightning_nlp.training.flops import Costs, training_costs
from lightning_nlp.training.hardware import device_name
from lightning_nlp.training.peaks import peak_flops


def outlook(trainer: Trainer, module: LightningModule, total: int | None) -> str:
    """The parameters, data and steps of a training, in one sentence.

    Args:
        total: The steps of the whole training; None for one without an end.
    """
    parameters = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    parts = [f"{parameters:,} parameters" if parameters < 1e6 else f"{parameters / 1e6:,.1f}M parameters"]
    data: Any = getattr(trainer, "datamodule", None)
    rows = getattr(data, "token_rows", {}).get("train")
    if getattr(data, "streaming", False):
        parts.append("a stream of texts")
    elif rows is not None:
        part = data.part("train")
        parts.append(f"{len(rows.lengths):,} examples and {int(rows.lengths.sum()):,} tokens")
        parts[-1] += f" ({part})" if part else " an epoch"
    ends = [] if total is None else [f"at most {total:,} steps"]
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        ends.append(f"{trainer.max_epochs} epoch{'' if trainer.max_epochs == 1 else 's'}")
    parts += [" in ".join(ends)] if ends else []
    if trainer.global_step and total is not None:
        parts.append(f"{trainer.global_step:,} of them done")
    return f"Training: {', '.join(parts)}."


def check_monitors(trainer: Trainer, module: LightningModule) -> None:
    """Refuse a monitor that only another task logs, now that the data have decided which task this is."""
    task = TASKS.get(getattr(module, "task", ""))
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    others = {name for other in TASKS.values() for name in other.monitors} - {*(task.monitors if task else ())}
    if task and (wrong := others & {str(getattr(callback, "monitor", None)) for callback in callbacks}):
        known = ", ".join(f"{name} (mode {mode})" for name, mode in task.monitors.items())
        raise UserError(
            f"The task of these data is {task.title}, which logs no {' or '.join(sorted(wrong))}: give "
            f"--checkpoint.monitor and --early_stopping.monitor one of {known}."
        )


def cure_without_validation(trainer: Trainer) -> str | None:
    """The options that bring a validation to a training without one; None if one may come."""
    if trainer.limit_val_batches == 0:
        return "--trainer.limit_val_batches 1.0"
    batches, interval = trainer.num_training_batches, trainer.val_check_batch
    every = trainer.check_val_every_n_epoch or 1
    if not trainer.enable_validation or interval is None or math.isinf(interval):  # None: by the clock
        return None
    end = batches * trainer.max_epochs if trainer.max_epochs and trainer.max_epochs > 0 else math.inf
    end = min(end, trainer.max_steps * trainer.accumulate_grad_batches) if trainer.max_steps >= 0 else end
    if interval + batches * (every - 1) <= end:
        return None
    cures = ["--trainer.check_val_every_n_epoch 1"] if every > 1 else []
    if min(end, batches) < interval:
        cures.append(f"--trainer.val_check_interval {max(1, int(min(end, batches)) // 2)}")
    return " ".join(cures)


def costs_and_peak(
    trainer: Trainer, module: LightningModule, peak_tflops: float | None
) -> tuple[Costs | None, float | None]:
    """What MFU is computed from: the cost of a batch, and the device's FLOP/s; says so where one is not known."""
    network = getattr(module, "network", None)
    if network is None or not hasattr(network, "config"):
        return None, None
    costs = training_costs(network)
    if costs is None:
        rank_zero_info(f"MFU is not logged: the FLOPs of a {network.config.model_type} model are not counted.")
        return None, None
    device, precision = module.device, str(trainer.precision)
    peak = peak_flops(device, precision) if peak_tflops is None else peak_tflops * 1e12
    if peak is None:
        rank_zero_info(
            f"MFU is not logged: the peak of {device_name(device.type)} in {precision} is not known; "
            "give --peak_tflops its dense TFLOP/s."
        )
    return costs, peak
