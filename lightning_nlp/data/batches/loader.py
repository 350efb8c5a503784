"""A loader of batches that can continue in the middle of an epoch."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from lightning_nlp.data.batches.plan import BatchKey, BatchPlan
from lightning_nlp.evaluation import IGNORE_INDEX

Batch = dict[str, Any]  # tensors, and the length of the longest sequence of a packed batch


@dataclass
class Batches(Dataset[Batch]):
    """The data set of the DataLoader: makes the batch of a `BatchKey`, in any process."""

    rows: Any  # `TokenRows`: rows[list of row numbers] is a dict of columns
    collate: Callable[[dict[str, Any], int], Batch]  # of columns and epoch; uses no global random numbers

    def __getitem__(self, key: BatchKey) -> Batch:
        epoch, numbers = key
        # without examples, this process computes the step on row 0, but learns nothing from it
        batch = self.collate({**self.rows[numbers or [0]], "index": numbers or [0]}, epoch)
        if not numbers:
            no_label = float("nan") if batch["labels"].is_floating_point() else IGNORE_INDEX
            batch["labels"] = torch.full_like(batch["labels"], no_label)
            batch |= {name: batch[name][:0] for name in ("masked", "words", "word_rows") if name in batch}
        return batch


def ignore_ctrl_c(worker: int) -> None:
    """A terminal sends Ctrl-C to all processes, but the training needs its workers until the step is done."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class BatchLoader:
    """A `DataLoader` over keys of batches. Not one itself: under DDP Lightning would replace its sampler."""

    def __init__(self, batches: Batches, keys: BatchPlan | list[BatchKey], *, num_workers: int = 0) -> None:
        self.batches = batches
        self._loader = DataLoader(
            batches,
            sampler=keys,
            batch_size=None,  # a key is a batch already
            num_workers=num_workers,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=num_workers > 0,
            # Otherwise each iterator draws a seed from torch's global generator, and dropout would depend on
            # how many iterators were made: after a resume, or with another number of validations.
            generator=torch.Generator(),
            worker_init_fn=ignore_ctrl_c,
        )

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Batch]:
        yield from self._loader


class ResumableLoader(BatchLoader):
    """A training's batches; unlike a `DataLoader`, it can be resumed within an epoch.

    Lightning calls `state_dict` and `load_state_dict`. With `fixed_epoch` all epochs are epoch 0.
    """

    def __init__(self, batches: Batches, plan: BatchPlan, *, num_workers: int = 0, fixed_epoch: bool = False) -> None:
        super().__init__(batches, plan, num_workers=num_workers)
        self.plan = plan
        self.handed_out = 0
        if not fixed_epoch:
            self.sampler = plan  # Lightning calls its `set_epoch`

    def __iter__(self) -> Iterator[Batch]:
        self.handed_out = self.plan.start
        for batch in super().__iter__():
            self.handed_out += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """The position after the batches that were handed out."""
        return self.plan.position(self.handed_out)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`."""
        self.handed_out = self.plan.resume(state)  # a checkpoint may be saved before the next batch
