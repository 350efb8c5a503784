"""Resuming within an epoch with another number of processes or other batch sizes."""

from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.rank_zero import rank_zero_info


class ResumePosition(Callback):
    """Renumbers a checkpoint's batches, before Lightning reads it, if the rest of its epoch is divided differently.

    The rest becomes the epoch's last batches (see `BatchPlan`), and those before count as done: Lightning asks only
    once how long an epoch is. Optimizer steps keep their numbers.
    """

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        data: Any = getattr(trainer, "datamodule", None)
        if trainer.state.fn != "fit" or not hasattr(data, "training_plan"):  # a user's own
            return
        loops = checkpoint["loops"]["fit_loop"]
        (position,) = loops["state_dict"].get("combined_loader") or [None]
        if position is None or data.train_batches is None:  # before the first batch; or a stream, which has no epochs
            return
        plan = data.training_plan()
        start, done = plan.resume(position), position["layouts"][-1][1]
        if start == done:
            return
        if start < len(plan):
            rank_zero_info(
                f"The batches have changed: {done} of the old ones were done in epoch {position['epoch'] + 1}, and "
                f"{len(plan) - start} of the new ones are left."
            )
        progress = loops["epoch_loop.batch_progress"]["current"]
        for name in progress:
            progress[name] += start - done
