"""Where in its epoch a training goes on that now has another number of processes, or batches of other sizes."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info


class ResumePosition(Callback):
    """Counts the batches of a checkpoint's epoch anew if they are laid out anew, before Lightning reads their number.

    What was done counts as the batches that the rest lacks to a whole epoch (see `BatchPlan`): Lightning asks
    once how many an epoch has. The optimizer's steps are not changed.
    """

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Change the number of batches done, if they are of another layout."""
        data: Any = getattr(trainer, "datamodule", None)
        loops = checkpoint["loops"]["fit_loop"]
        (position,) = loops["state_dict"].get("combined_loader") or [None]  # none before the first batch
        ours = hasattr(data, "training_plan") and data.train_batches is not None  # a stream counts by itself
        if trainer.state.fn != "fit" or position is None or not ours:
            return
        plan = data.training_plan()
        start, done = plan.resume(position), position["layouts"][-1][1]
        if start == done:
            return
        if start < len(plan):
            rank_zero_info(
                f"The batches are other ones now: {done} of epoch {position['epoch'] + 1} were done, "
                f"{len(plan) - start} of the others are left."
            )
        progress = loops["epoch_loop.batch_progress"]["current"]
        for name in progress:
            progress[name] += start - done
