"""The steps of a training: how many there are, where one ends, which are logged, and their learning rates."""

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

from lightning.pytorch import LightningModule, Trainer

from lightning_nlp.errors import UserError, check_range

Schedule = Literal["linear", "cosine", "constant", "wsd"]
DECAY_RATIO = 0.1  # the share of the steps in which "wsd" decays


def lr_lambda(schedule: Schedule, num_training_steps: int | None, warmup_ratio: float = 0.0) -> Callable[[int], float]:
    """The factor on the learning rate at each optimizer step, from 0 to 1.

    With T = `num_training_steps` and W = ceil(`warmup_ratio` T) it is s / W at step s < W, and then:

    - "linear": (T - s) / (T - W);
    - "cosine": (1 + cos(pi (s - W) / (T - W))) / 2;
    - "constant": 1;
    - "wsd" (warmup, stable, decay; MiniCPM, arXiv:2404.06395): 1 until step T - D, with D =
      ceil(`DECAY_RATIO` T), then 1 - sqrt((s - T + D) / D) (Hägele et al., arXiv:2405.18392).

    All but "constant" reach 0 exactly at step T and stay there.

    Args:
        num_training_steps: None for a run without an end: a UserError but for "constant" without a warmup.
    """
    if schedule not in get_args(Schedule):
        raise UserError(f"Unknown schedule {schedule!r}: give --model.schedule one of {', '.join(get_args(Schedule))}.")
    check_range("--model.warmup_ratio", warmup_ratio, 0, 1)
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
    start_of_decay = max(warmup, total - math.ceil(DECAY_RATIO * total))

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


def module_lr_lambda(module: LightningModule, data: Any) -> Callable[[int], float]:
    """`lr_lambda` by a module's `schedule` and `warmup_ratio`, for the steps its Trainer will make on the data."""
    if hasattr(data, "limit_steps"):
        data.limit_steps(module.trainer)
    steps = num_training_steps(module.trainer, train_batches(module.trainer, data))
    return lr_lambda(module.hparams["schedule"], steps, module.hparams["warmup_ratio"])


def num_training_steps(trainer: Trainer, batches: float) -> int | None:
    """How many optimizer steps a run with these batches an epoch will make; None if it has no end.

    Not read from `trainer.estimated_stepping_batches`: that sets up the training loader too early, and
    Lightning then never restores its state within an epoch (issue 20550 of pytorch-lightning).
    """
    ends = [trainer.max_steps] if trainer.max_steps >= 0 else []
    if math.isfinite(batches) and trainer.max_epochs is not None and trainer.max_epochs >= 0:
        # Lightning steps at the end of an epoch too, on the accumulated batches left over
        ends.append(math.ceil(batches / trainer.accumulate_grad_batches) * trainer.max_epochs)
    return max(1, min(ends)) if ends else None


def train_batches(trainer: Trainer, data: Any) -> float:
    """An epoch's batches on one process, within `limit_train_batches`; infinite for an endless loader."""
    if not hasattr(data, "train_batches"):  # a user's own: set up its loader, and ask that
        trainer.fit_loop.setup_data()  # too early (see above) for a loader that can resume within an epoch
        return trainer.num_training_batches
    batches, limit = data.train_batches, trainer.limit_train_batches
    if batches is None:
        return math.inf
    # an int is a number, a float a share, rounded down as Lightning does
    return int(batches * limit) if isinstance(limit, float) else min(batches, limit)


def at_whole_step(trainer: Trainer) -> bool:
    """Whether the batches so far end an optimizer step, as the last one of an epoch does too."""
    progress = trainer.fit_loop.epoch_loop.batch_progress
    return progress.is_last_batch or progress.current.ready % trainer.accumulate_grad_batches == 0


def is_log_step(trainer: Trainer, step: int | None = None) -> bool:
    """Whether Lightning logs the optimizer step that this batch ends, if it ends one.

    Args:
        step: Its number, from 1; None if `global_step` counts it already.
    """
    every = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return bool(every) and at_whole_step(trainer) and (step or trainer.global_step) % every == 0
