"""Which examples share a training batch, in each epoch and on each process.

`FixedSize` or `TokenBudget` makes an epoch's batches for all processes, and `BatchPlan` hands out those of one. After a
resume with other batch sizes or processes, the examples that are left become the last batches of the epoch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from lightning_nlp.data.batches.budget import TokenBudget

BatchKey = tuple[int, list[int]]  # (epoch, row numbers): all that a worker needs to make the batch

# The examples of this many batches are sorted by length: enough to leave hardly any padding, and few enough
# that each batch stays a random draw. The HF Trainer has the same number.
WINDOW_BATCHES = 50


@dataclass
class FixedSize:
    """Training batches of at most `examples` examples a step, shared by `world_size` processes.

    1 x 16, 2 x 8 and 4 x 4 take the same steps. Batch sizes differ by at most one, so that no step is tiny.

    Args:
        lengths: (all examples,) in tokens.
        accumulate: Steps of this plan in one of the optimizer's.
    """

    lengths: np.ndarray
    examples: int
    world_size: int = 1
    accumulate: int = 1
    seed: int = 0

    @property
    def layout(self) -> dict[str, Any]:
        """What decides, besides lengths and seed, which examples share a step; `batching_of` reads it."""
        return {"examples": self.examples, "accumulate": self.accumulate}

    @property
    def steps(self) -> int:
        """Steps in each epoch."""
        return math.ceil(len(self.lengths) / self.examples)

    def batches(self, epoch: int, rows: np.ndarray) -> list[np.ndarray]:
        """The last steps of an epoch, or all if `rows` are all: `world_size` batches each, in random order.

        If there are too few rows, some batches are empty.
        """
        lengths, rng = self.lengths[rows], np.random.default_rng([self.seed, epoch])
        windows = sort_windows(lengths, rng.permutation(len(rows)), self.examples * WINDOW_BATCHES)
        needed, share = math.ceil(len(rows) / self.examples), len(rows) / len(self.lengths)
        steps = np.array_split(np.concatenate(windows), last_steps(self.steps, needed, share, self.accumulate))
        rng.shuffle(steps)
        # The longest step comes first: if memory is short, the run fails now, not after an hour.
        longest = max(range(len(steps)), key=lambda i: lengths[steps[i]].max(initial=0))
        steps[0], steps[longest] = steps[longest], steps[0]
        return [rows[step[rank :: self.world_size]] for step in steps for rank in range(self.world_size)]


def sort_windows(lengths: np.ndarray, order: np.ndarray, window: int) -> list[np.ndarray]:
    """Cut an order into windows of this many examples, each sorted by length, longest first.

    The sort is stable: in a shuffled order, equally long sentences don't meet again in each epoch.
    """
    windows = np.array_split(order, np.arange(window, len(order), window))
    return [part[np.argsort(-lengths[part], kind="stable")] for part in windows]


def last_steps(steps: int, needed: int, share: float, accumulate: int) -> int:
    """How many of an epoch's steps a share of its examples gets: that share of them, or `needed` if that is more.

    The steps before them are a multiple of `accumulate`, so no optimizer step is cut in two.
    """
    number = max(needed, math.ceil(share * steps))
    return number + (steps - number) % accumulate


@dataclass
class BatchPlan:
    """One process's training batches, as keys for `Batches`; all processes have equally many.

    They follow from the seed, the epoch and the layout. A position is the list of the epoch's layouts, each with the
    number of its steps that are done, so each example is seen once an epoch even if the layout changes.
    """

    batching: FixedSize | TokenBudget
    rank: int = 0
    epoch: int = 0
    start: int = 0  # first batch of the next iteration: 0, but in the epoch of a resume
    # the epoch's layouts before this one, each with its steps done
    _earlier: list[tuple[dict[str, Any], int]] = field(default_factory=list)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration."""
        if epoch != self.epoch:
            self.epoch, self.start, self._earlier = epoch, 0, []

    def position(self, done: int) -> dict[str, Any]:
        """What a checkpoint keeps after this many batches of the epoch, those before a resume included."""
        return {"epoch": self.epoch, "layouts": [*self._earlier, (self.batching.layout, done)]}

    def resume(self, position: dict[str, Any]) -> int:
        """Continue from a `position`; return how many of this layout's batches count as done."""
        self.epoch, layouts = position["epoch"], position["layouts"]
        *self._earlier, (layout, self.start) = layouts
        if layout != self.batching.layout:  # start where as many batches are left as the examples left over need
            self._earlier = layouts
            self.start = len(self) - len(self.batches())
        return self.start

    def __len__(self) -> int:
        """Batches of a whole epoch, even if the next iteration begins in the middle."""
        return self.batching.steps

    def batches(self) -> list[np.ndarray]:
        """Row numbers of this process's batches; after other layouts only those that are left."""
        rows = np.arange(len(self.batching.lengths))
        for layout, done in self._earlier:  # from each to the next: the rows in the steps it did not do
            before = batching_of(layout, self.batching.lengths, self.batching.seed, 1)
            batches, left = before.batches(self.epoch, rows), before.steps - done
            rows = np.sort(np.concatenate([rows[:0], *batches[len(batches) - left * before.world_size :]]))
            if not len(rows):
                return []
        return self.batching.batches(self.epoch, rows)[self.rank :: self.batching.world_size]

    def __iter__(self) -> Iterator[BatchKey]:
        batches = self.batches()
        for batch in batches[len(batches) - (len(self) - self.start) :]:
            yield self.epoch, batch.tolist()


def batching_of(layout: dict[str, Any], lengths: np.ndarray, seed: int, world_size: int) -> FixedSize | TokenBudget:
    """The batches of a layout, by examples or by tokens."""
    if "examples" in layout:
        return FixedSize(lengths, seed=seed, world_size=world_size, **layout)
    from lightning_nlp.data.batches.budget import TokenBudget  # here: most trainings need no line of it

    return TokenBudget(lengths, seed=seed, **{"world_size": world_size, **layout})
