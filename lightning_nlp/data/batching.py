"""Which examples go together in a batch, and a loader that can go on in the middle of an epoch."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from lightning_nlp.data.budget import TokenBudget
from lightning_nlp.data.collators import IGNORE_INDEX

Batch = dict[str, Any]  # tensors, and the length of the longest sequence of a packed batch
BatchKey = tuple[int, list[int]]  # (epoch, row numbers): all that a worker needs to make the batch

# Batches of one window are sorted by length among themselves: large enough that a batch has hardly any padding, small
# enough that its examples stay a random draw. The figure is the HF Trainer's, so that the two compare.
WINDOW_BATCHES = 50


def training_batches(lengths: np.ndarray, batch_size: int, *, seed: int, epoch: int) -> list[np.ndarray]:
    """Group examples of similar length into batches, differently in each epoch.

    The examples are shuffled, sorted by length within windows, and cut into batches whose sizes differ by at most one,
    so that no step is taken on a crumb. The batches come in random order, but the longest first: if memory is short,
    the run fails in its first step and not after an hour.

    Args:
        lengths: (examples,) lengths in tokens.
        batch_size: The most examples in a batch.
        seed: The run's seed.
        epoch: The epoch, from 0.

    Returns:
        Arrays of row numbers; each example is in exactly one.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    window = batch_size * WINDOW_BATCHES
    # Random order among equals (a stable sort of a shuffled window) keeps short sentences from always meeting again.
    order = np.concatenate(
        [
            part[np.argsort(-lengths[part], kind="stable")]
            for part in np.array_split(order, np.arange(window, len(order), window))
        ]
    )
    batches = np.array_split(order, number_of_batches(len(order), batch_size))
    rng.shuffle(batches)
    longest = max(range(len(batches)), key=lambda i: lengths[batches[i]].max())
    batches[0], batches[longest] = batches[longest], batches[0]
    return batches


def evaluation_batches(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Batches of similar length, longest first, the same at each call.

    Args:
        lengths: (examples,) lengths in tokens.
        batch_size: The most examples in a batch.

    Returns:
        Arrays of row numbers; each example is in exactly one.
    """
    order = np.argsort(-lengths, kind="stable")
    return np.array_split(order, number_of_batches(len(order), batch_size))


def number_of_batches(examples: int, batch_size: int) -> int:
    """ceil(examples / batch_size)."""
    return -(-examples // batch_size)


class BatchPlan(Sampler[BatchKey]):
    """The batches of an epoch for one process, as keys for `Batches`.

    Under DDP a global batch of `batch_size * world_size` examples is dealt out to the processes, so each has the same
    number of batches, no example is seen twice, and 1 x 16, 2 x 8 and 4 x 4 take the same steps. Of batches filled to a
    number of tokens, a step has `world_size`. Where a step has too few examples for all processes, some get an empty
    key; `Batches` turns it into a filler without labels.

    Lightning finds the plan as `loader.sampler` and calls `set_epoch`.

    Args:
        lengths: (examples,) lengths in tokens.
        batch_size: Examples a process and batch.
        shuffle: True for training (differs by epoch), False for evaluation (longest first).
        seed: The run's seed.
        rank: This process's number.
        world_size: The number of processes.
        budget: Batches by the number of tokens, in the place of `batch_size`, `shuffle` and `seed`; a multiple of
            `world_size` of them.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        budget: TokenBudget | None = None,
    ) -> None:
        assert len(lengths) > 0
        assert 0 <= rank < world_size
        assert budget is None or budget.multiple_of % world_size == 0
        self.lengths = lengths
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.budget = budget
        self.epoch = 0
        self.resume_from: tuple[int, int] | None = None  # (epoch, batches already trained on)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration yields."""
        self.epoch = epoch

    @property
    def start(self) -> int:
        """The first batch of the next iteration: not 0 only in the epoch that a checkpoint was written in."""
        return self.resume_from[1] if self.resume_from is not None and self.resume_from[0] == self.epoch else 0

    def __len__(self) -> int:
        """Batches of a whole epoch, also when the next iteration begins in the middle."""
        if self.budget is not None:
            return self.budget.number // self.world_size
        return number_of_batches(len(self.lengths), self.batch_size * self.world_size)

    def batches(self) -> list[np.ndarray]:
        """The row numbers of each batch of the whole epoch."""
        if self.budget is not None:
            return self.budget.batches(self.epoch)[self.rank :: self.world_size]
        size = self.batch_size * self.world_size
        if self.shuffle:
            batches = training_batches(self.lengths, size, seed=self.seed, epoch=self.epoch)
        else:
            batches = evaluation_batches(self.lengths, size)
        return [batch[self.rank :: self.world_size] for batch in batches]

    def __iter__(self) -> Iterator[BatchKey]:
        for batch in self.batches()[self.start :]:
            yield self.epoch, batch.tolist()


class Batches(Dataset[Batch]):
    """Map a `BatchKey` to a batch, in whichever process it is asked for.

    Args:
        rows: A table that gives a dict of columns for a list of row numbers.
        collate: Makes the batch of (columns, epoch); must not draw on global randomness.
    """

    def __init__(self, rows: Any, collate: Callable[[dict[str, Any], int], Batch]) -> None:
        self.rows = rows
        self.collate = collate

    def __getitem__(self, key: BatchKey) -> Batch:
        epoch, numbers = key
        batch = self.collate({**self.rows[numbers or [0]], "index": numbers or [0]}, epoch)
        if not numbers:  # a process without examples in this step: something to compute, nothing to learn from it
            batch["labels"] = torch.full_like(batch["labels"], IGNORE_INDEX)
            if "masked" in batch:
                batch["masked"] = batch["masked"][:0]
        return batch


def ignore_ctrl_c(worker: int) -> None:
    """A terminal sends Ctrl-C to all processes, and the training needs its workers until the step is whole."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class ResumableLoader:
    """A `DataLoader` over a `BatchPlan` that Lightning restores in the middle of an epoch.

    A plain DataLoader begins its epoch anew after a resume, and batches repeat in silence. Lightning saves and restores
    a loader with `state_dict` and `load_state_dict`; the state is the epoch and the number of batches handed out.

    It is deliberately no DataLoader itself: Lightning would rebuild it under DDP with a sampler of its own.

    Args:
        batches: The batches by key.
        plan: Which keys an epoch has.
        num_workers: Processes that prepare batches; 0 prepares them in the training process.
        pin_memory: Whether to place batches in page-locked memory (for CUDA).
        fixed_epoch: Yield the batches of epoch 0 each time (evaluation, `overfit_batches`).
    """

    def __init__(
        self,
        batches: Batches,
        plan: BatchPlan,
        *,
        num_workers: int = 0,
        pin_memory: bool = False,
        fixed_epoch: bool = False,
    ) -> None:
        self.plan = plan
        self.handed_out = 0
        if not fixed_epoch:
            self.sampler = plan  # where Lightning looks for `set_epoch`
        self._loader = DataLoader(
            batches,
            sampler=plan,
            batch_size=None,  # a key is a batch already
            num_workers=num_workers,
            pin_memory=pin_memory,
            persistent_workers=num_workers > 0,
            # Else each iterator draws a seed for its workers from torch's global generator, and dropout would depend on
            # how often one was made: after a resume, or with another number of validations.
            generator=torch.Generator(),
            worker_init_fn=ignore_ctrl_c,
        )

    def __len__(self) -> int:
        return len(self.plan)

    def __iter__(self) -> Iterator[Batch]:
        self.handed_out = self.plan.start
        for batch in self._loader:
            self.handed_out += 1
            yield batch

    def batch(self, number: int) -> tuple[list[int], Batch]:
        """Make a batch of the present epoch once more: a batch follows from its key.

        Args:
            number: Its place in the epoch, from 0.

        Returns:
            The row numbers of its examples, and the batch.
        """
        rows = self.plan.batches()[number].tolist()
        return rows, self._loader.dataset[self.plan.epoch, rows]

    def state_dict(self) -> dict[str, int]:
        """The position: the epoch, and how many of its batches were handed out."""
        return {"epoch": self.plan.epoch, "handed_out": self.handed_out}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches that were handed out, in the epoch that they belong to."""
        self.plan.set_epoch(state["epoch"])
        self.plan.resume_from = (state["epoch"], state["handed_out"])
