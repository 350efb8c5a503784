"""Where in its epoch a training goes on that now has another number of processes, or batches of other sizes."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info


class Position(Callback):
    """Translates the batches that a checkpoint counts into those of this training, before Lightning reads them.

    The examples of the epoch that are left are laid out anew (see `BatchPlan`), as that epoch's last batches. What was
    done counts as so many batches as are missing then to a whole epoch, whose number of batches Lightning asks for
    once. The optimizer's steps go on from where they were.
    """

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Change the checkpoint's position, if it is of another layout."""
        datamodule: Any = getattr(trainer, "datamodule", None)
        if trainer.state.fn != "fit" or not hasattr(datamodule, "plan"):  # a data module of the user's own
            return
        if getattr(datamodule, "streaming", False):  # it has no epochs, so nothing is counted in batches
            return
        loops = checkpoint["loops"]["fit_loop"]
        (position,) = loops["state_dict"].get("combined_loader") or [None]
        if position is None:  # before the first batch
            return
        plan = datamodule.plan("train")
        start = plan.go_on(position)
        if start == position["handed_out"]:
            return
        progress = loops["epoch_loop.batch_progress"]["current"]
        if start < len(plan):
            rank_zero_info(
                f"The batches are other ones now: {position['handed_out']} of epoch {position['epoch'] + 1} were done, "
                f"{len(plan) - start} of the others are left."
            )
        for name in progress:
            progress[name] += start - position["handed_out"]
