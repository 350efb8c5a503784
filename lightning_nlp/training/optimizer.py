"""The optimizer: which parameters decay, how the learning rate moves, how gradients are clipped."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import nn
from torch.optim import Optimizer

from lightning_nlp.errors import UserError, check_range

Schedule = Literal["linear", "cosine", "constant", "wsd"]


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split the trainable parameters into those that decay and those that do not.

    Biases and the gains of norm layers, which are the parameters of fewer than two dimensions, do not decay;
    matrices and embeddings do, as in the Trainer of transformers.

    Args:
        module: Its frozen parameters are left out, and a tied parameter counts once.

    Returns:
        Always the two groups named "decay" and "no_decay", in this order, so that a checkpoint's groups can
        be told apart whatever their values.
    """
    trainable = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    decay = [parameter for parameter in trainable.values() if parameter.ndim >= 2]
    no_decay = [parameter for parameter in trainable.values() if parameter.ndim < 2]
    seen = {id(parameter) for parameter in decay + no_decay}
    assert len(seen) == len(decay) + len(no_decay), "a parameter stands in two groups"
    assert seen == {id(p) for p in module.parameters() if p.requires_grad}, "a parameter stands in no group"
    return [
        {"params": decay, "weight_decay": weight_decay, "name": "decay"},
        {"params": no_decay, "weight_decay": 0.0, "name": "no_decay"},
    ]


def lr_lambda(
    schedule: Schedule, num_training_steps: int | None, warmup_ratio: float = 0.0, decay_ratio: float = 0.1
) -> Callable[[int], float]:
    """The factor on the learning rate at each optimizer step.

    With T = `num_training_steps` and W = ceil(`warmup_ratio` T), the factor at step s is s / W while s < W.
    Then:

    - "linear": (T - s) / (T - W);
    - "cosine": (1 + cos(pi (s - W) / (T - W))) / 2;
    - "constant": 1;
    - "wsd" (warmup, stable, decay; MiniCPM, arXiv:2404.06395): 1 until step T - D, with D =
      ceil(`decay_ratio` T), then 1 - sqrt((s - T + D) / D), the decay that Hägele et al., arXiv:2405.18392,
      found better than a linear one.

    All but "constant" reach 0 exactly at step T and stay there.

    Args:
        num_training_steps: The optimizer steps of the whole run; None where the run has no end, which only
            "constant" without a warmup can live with.
        warmup_ratio: The share of the steps, from 0 to 1, in which the rate rises from 0.
        decay_ratio: The share of the steps in which "wsd" falls; a longer warmup shortens it.

    Returns:
        A pure function of the step, with values from 0 to 1.

    Raises:
        UserError: If the schedule is unknown, a ratio lies outside 0 to 1, or the end is needed and not
            known.
    """
    if schedule not in get_args(Schedule):
        raise UserError(f"Unknown schedule {schedule!r}: give --model.schedule one of {', '.join(get_args(Schedule))}.")
    check_range("--model.warmup_ratio", warmup_ratio, 0, 1)
    check_range("decay_ratio", decay_ratio, 0, 1)
    if num_training_steps is None:
        if schedule != "constant" or warmup_ratio > 0:
            raise UserError(
                f"The schedule {schedule!r} with a warmup_ratio of {warmup_ratio} needs to know the last step, and "
                "this run has none: give --trainer.max_epochs or --trainer.max_steps, or --model.schedule constant "
                "with --model.warmup_ratio 0."
            )
        return lambda step: 1.0
    total = num_training_steps
    warmup = math.ceil(warmup_ratio * total)
    start_of_decay = max(warmup, total - math.ceil(decay_ratio * total))

    def factor(step: int) -> float:
        if schedule != "constant" and step >= total:
            return 0.0
        if step < warmup:
            return step / warmup
        if schedule == "linear":
            return (total - step) / (total - warmup)
        if schedule == "cosine":
            return 0.5 * (1.0 + math.cos(math.pi * (step - warmup) / (total - warmup)))
        if schedule == "wsd" and step > start_of_decay:
            return 1.0 - math.sqrt((step - start_of_decay) / (total - start_of_decay))
        return 1.0

    return factor


def num_training_steps(trainer: Trainer, batches_per_epoch: int | None) -> int | None:
    """How many optimizer steps a run will make.

    It is computed rather than read from `trainer.estimated_stepping_batches`, because that property sets up
    the training loader too early: Lightning then never restores a loader's state in the middle of an epoch
    (issue 20550 of pytorch-lightning).

    Args:
        trainer: Its `max_steps`, `max_epochs`, `accumulate_grad_batches` and `limit_train_batches` count;
            `overfit_batches` and `fast_dev_run` have already been turned into those by Lightning.
        batches_per_epoch: The length of the training loader on one rank; None for one without end.

    Returns:
        The number of steps, at least 1, or None where neither `max_epochs` nor `max_steps` ends the run.
    """
    if batches_per_epoch is None:
        return max(1, trainer.max_steps) if trainer.max_steps >= 0 else None
    limit = trainer.limit_train_batches
    # an int is a number of batches, a float a share of them; Lightning rounds down too
    batches = int(batches_per_epoch * limit) if isinstance(limit, float) else min(batches_per_epoch, limit)
    # Lightning steps at the end of an epoch too, on the accumulated batches left over
    steps_per_epoch = math.ceil(batches / trainer.accumulate_grad_batches)
    ends = [trainer.max_steps] if trainer.max_steps >= 0 else []
    if trainer.max_epochs is not None and trainer.max_epochs >= 0:
        ends.append(steps_per_epoch * trainer.max_epochs)
    return max(1, min(ends)) if ends else None


def train_batches(trainer: Trainer, data: Any) -> int | None:
    """An epoch's batches as the data module tells them, or a loader of the user's own; None where there is no end."""
    if hasattr(data, "train_batches"):
        return data.train_batches
    trainer.fit_loop.setup_data()  # too early (see above) for a loader that knows its place within an epoch
    loader: Any = trainer.train_dataloader
    return None if math.isinf(trainer.num_training_batches) else len(loader)


def configure_adamw(
    module: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    schedule: Schedule,
    warmup_ratio: float,
    num_training_steps: int | None,
    fused: bool = True,
) -> dict[str, Any]:
    """AdamW and its schedule, as Lightning's `configure_optimizers` returns them.

    Args:
        module: Whose trainable parameters are optimized; it is on its device already.
        lr: The peak learning rate.
        fused: Use the fused kernel where the device has one. Lightning cannot clip gradients beside it in
            fp16.

    Returns:
        A dict with "optimizer" and a "lr_scheduler" that moves once an optimizer step.
    """
    groups = parameter_groups(module, weight_decay)
    parameters = [parameter for group in groups for parameter in group["params"]]
    assert parameters, "there is nothing to train"
    fused = fused and all(p.is_floating_point() and p.device.type in ("cpu", "cuda", "mps") for p in parameters)
    optimizer = torch.optim.AdamW(groups, lr=lr, fused=fused)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lr_lambda(schedule, num_training_steps, warmup_ratio))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def limit_tokens(trainer: Trainer, data: Any) -> None:
    """Turn a data module's `max_tokens` into the Trainer's `max_steps`, unless that ends the run sooner.

    Args:
        data: With `max_tokens`, and `tokens_in_batch`, the mean for each process.
    """
    if getattr(data, "max_tokens", None) is None:
        return
    in_step = data.tokens_in_batch * trainer.world_size * trainer.accumulate_grad_batches
    steps = max(1, round(data.max_tokens / in_step))
    if trainer.max_steps < 0 or steps < trainer.max_steps:
        trainer.fit_loop.epoch_loop.max_steps = steps


def configure_module(module: LightningModule, data: Any) -> dict[str, Any]:
    """`configure_adamw` by a module's own `lr`, `weight_decay`, `schedule` and `warmup_ratio`."""
    limit_tokens(module.trainer, data)
    settings = {name: module.hparams[name] for name in ("lr", "weight_decay", "schedule", "warmup_ratio")}
    configured = configure_adamw(
        module,
        **settings,
        num_training_steps=num_training_steps(module.trainer, train_batches(module.trainer, data)),
        fused=module.trainer.precision != "16-mixed",
    )
    # Lightning keeps the gradients until the next backward pass: they take room through the forward pass too
    configured["optimizer"].register_step_post_hook(lambda optimizer, *_: optimizer.zero_grad())
    return configured


def restore_module(module: LightningModule, checkpoint: dict[str, Any], data: Any) -> None:
    """`restore_command_line` by a module's own hyperparameters, where a training is about to go on."""
    if module.trainer.state.fn != "fit":
        return
    limit_tokens(module.trainer, data)
    hparams, steps = module.hparams, num_training_steps(module.trainer, train_batches(module.trainer, data))
    before, now = checkpoint.get("hyper_parameters", {}).get("freeze"), hparams.get("freeze")
    if before != now:
        raise UserError(
            f"The checkpoint was trained with freeze {before}, and its optimizer fits no other: give --model.freeze "
            f"{'null' if before is None else before}, or start from its export with --model.pretrained RUN/export."
        )
    restore_command_line(
        checkpoint,
        lr=hparams["lr"],
        weight_decay=hparams["weight_decay"],
        lr_lambda=lr_lambda(hparams["schedule"], steps, hparams["warmup_ratio"]),
    )


def restore_command_line(
    checkpoint: dict[str, Any], *, lr: float, weight_decay: float, lr_lambda: Callable[[int], float]
) -> None:
    """Put this run's settings into a checkpoint's optimizer and scheduler, before Lightning restores them.

    An optimizer's state holds its learning rate and weight decay too, so restoring one would quietly undo
    what the command line says. The moments and the number of steps made are kept; where no setting has
    changed, the checkpoint stays as it was, to the last bit.

    Args:
        checkpoint: What `on_load_checkpoint` receives; changed in place.
        lr: The peak learning rate.
        weight_decay: For the group named "decay".
    """
    for optimizer, scheduler in zip(
        checkpoint.get("optimizer_states", []), checkpoint.get("lr_schedulers", []), strict=True
    ):
        current = lr * lr_lambda(scheduler["last_epoch"])
        for group in optimizer["param_groups"]:
            group |= {"lr": current, "initial_lr": lr}
            group["weight_decay"] = weight_decay if group["name"] == "decay" else 0.0
        scheduler["base_lrs"] = [lr] * len(optimizer["param_groups"])
        scheduler["_last_lr"] = [current] * len(optimizer["param_groups"])


def clip_gradients(
    trainer: Trainer, optimizer: Optimizer, gradient_clip_val: float | None, gradient_clip_algorithm: str | None
) -> None:
    """Clip as `trainer.gradient_clip_val` says, also beside a fused optimizer in bf16.

    Lightning refuses that in every mixed precision, but only fp16 has scaled gradients that must not be
    clipped.

    Args:
        gradient_clip_val: The largest norm (or value); None or 0 clips nothing.
        gradient_clip_algorithm: "norm", the default, or "value".
    """
    if not gradient_clip_val:
        return
    plugin = trainer.precision_plugin
    algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
    unscaled = isinstance(plugin, MixedPrecision) and plugin.scaler is None
    clip = partial(Precision.clip_gradients, plugin) if unscaled else plugin.clip_gradients
    clip(optimizer, gradient_clip_val, algorithm)


def log_step(module: LightningModule, optimizer: Optimizer) -> None:
    """In log steps, log `train/lr` and `train/grad_norm`: of the whole gradient, before it is clipped."""
    if is_log_step(module.trainer, module.trainer.global_step + 1):
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        module.log("train/lr", optimizer.param_groups[0]["lr"])  # a float, which `log` copies to the device
        module.log("train/grad_norm", torch.nn.utils.get_total_norm(gradients))


def is_log_step(trainer: Trainer, step: int) -> bool:
    """Whether Lightning writes down what is logged in a step, from 1: `global_step` once it is done."""
    every = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return bool(every) and step % every == 0
