"""What we use of dependencies although it is private, and why; a test of each fails when the dependency changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser
    from lightning import Trainer

# One operation for many tensors, as in torch's optimizers and `clip_grad_norm_`. What is public takes one
# for each, or gives only the norm of all together (`get_total_norm`).
multiply_all, norms_of = torch._foreach_mul_, torch._foreach_norm


def log_at_last_step(trainer: Trainer) -> None:
    """Let the metrics of a test after `fit` be logged at the last step and epoch.

    After a resume with nothing left to train, Lightning's own counts are too low, and it offers no other step.
    """
    loop = trainer.fit_loop
    loop.epoch_loop._batches_that_stepped = trainer.global_step
    loop.epoch_progress.current.completed = loop.epoch_progress.current.ready


def keep_whole_numbers(parser: ArgumentParser) -> None:
    """Let a parser read `--trainer.limit_val_batches 1` as one batch, not as 1.0, which is all of them.

    Lightning's type is `Optional[Union[int, float]]`. `typing` may hand out an equal one that another library has made
    before, and for that `Optional[Union[float, int]]` is equal; the parser tries its types in order.
    """
    for action in parser._actions:
        if getattr(action, "_typehint", None) == int | float | None:
            action._typehint = int | float | None  # type: ignore[attr-defined]


def replace_view(view: Any, saved: Any) -> None:
    """Let a workspace of `wandb-workspaces` take the place of a saved one, which it can only add to by itself."""
    view._internal_id, view._internal_name = saved.id, saved.name
