"""Which examples go together in a batch, in each epoch and on each process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from lightning_nlp.data.batches.budget import TokenBudget, halve_largest, sort_windows

BatchKey = tuple[int, list[int]]  # (epoch, row numbers): all that a worker needs to make the batch

# Batches of one window are sorted by length among themselves: large enough that a batch has hardly any
# padding, small enough that its examples stay a random draw. It is the HF Trainer's, so that the two compare.
WINDOW_BATCHES = 50


def training_batches(
    lengths: np.ndarray, batch_size: int, *, seed: int, epoch: int, number: int | None = None
) -> list[np.ndarray]:
    """The row numbers of batches of similar length, each example in exactly one, differently in each epoch.

    The examples are shuffled, sorted by length within windows, and cut into batches whose sizes differ by at
    most one, so that no step is taken on a crumb. The batches come in random order, but the longest first: if
    memory is short, the run fails in its first step and not after an hour.

    Args:
        lengths: (examples,) lengths in tokens.
        batch_size: The most examples in a batch.
        number: How many batches, if more than they need.
    """
    rng = np.random.default_rng([seed, epoch])
    windows = sort_windows(lengths, rng.permutation(len(lengths)), batch_size * WINDOW_BATCHES)
    order = np.concatenate(windows)
    batches = np.array_split(order, number or number_of_batches(len(order), batch_size))
    rng.shuffle(batches)
    longest = max(range(len(batches)), key=lambda i: lengths[batches[i]].max(initial=0))
    batches[0], batches[longest] = batches[longest], batches[0]
    return batches


def evaluation_batches(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """The row numbers of batches of similar length, longest first, the same at each call."""
    order = np.argsort(-lengths, kind="stable")
    return np.array_split(order, number_of_batches(len(order), batch_size))


def number_of_batches(examples: int, batch_size: int) -> int:
    """ceil(examples / batch_size)."""
    return -(-examples // batch_size)


class BatchPlan(Sampler[BatchKey]):
    """The batches of an epoch for one process, as keys for `Batches`.

    Under DDP a global batch of `batch_size * world_size` examples is dealt out to the processes, so each has
    the same number of batches, no example is seen twice, and 1 x 16, 2 x 8 and 4 x 4 take the same steps. Of
    batches filled to a number of tokens, a step has `world_size`. Where a step has too few examples for all
    processes, some get an empty key; `Batches` turns it into a filler without labels.

    Lightning finds the plan as `loader.sampler` and calls `set_epoch`.

    A training that goes on in the middle of an epoch with another number of processes, or other sizes, has
    the examples that are left in new batches: each is still seen exactly once.

    Args:
        lengths: (examples,) lengths in tokens.
        batch_size: Examples a process and batch.
        shuffle: True for training (differs by epoch), False for evaluation (longest first).
        budget: Batches by the number of tokens, in the place of `batch_size`, `shuffle` and `seed`; a
            multiple of `world_size` of them.
        accumulate: Batches an optimizer step, which such a new beginning must be a multiple of.
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
        accumulate: int = 1,
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
        self.accumulate = accumulate
        self.epoch = 0
        self.drawn: list[list[np.ndarray]] | None = None  # an evaluation's steps, if it reads a part (see `limited`)
        self._began: dict[str, Any] | None = None  # the position that this training goes on from
        self._start = 0
        self._rest: list[list[np.ndarray]] | None = None  # that epoch's steps, if they are laid out anew

    @property
    def examples(self) -> int:
        """How many examples the batches of all processes hold."""
        return len(self.lengths) if self.drawn is None else sum(len(batch) for step in self.drawn for batch in step)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration yields."""
        self.epoch = epoch

    @property
    def start(self) -> int:
        """The first batch of the next iteration: not 0 only in the epoch that a checkpoint was written in."""
        return self._start if self._began is not None and self._began["epoch"] == self.epoch else 0

    @property
    def layout(self) -> dict[str, int]:
        """What decides which examples a step has: 1 x 16 and 2 x 8 have the same."""
        if self.budget is None:
            return {"examples": self.batch_size * self.world_size}
        return {"world_size": self.world_size, **self.budget.layout}

    def position(self, handed_out: int) -> dict[str, Any]:
        """Where a training stands that has had so many batches of its epoch, with those before a resume."""
        position: dict[str, Any] = {"epoch": self.epoch, "handed_out": handed_out, "layout": self.layout}
        if self._rest is not None and self._began is not None and self._began["epoch"] == self.epoch:
            position |= {"earlier": self._began, "accumulate": self.accumulate}
        return position

    def go_on(self, position: dict[str, Any]) -> int:
        """Go on from what `position` gave, in its epoch, be it with other processes or sizes.

        It returns how many batches of that epoch count as done: other than were handed out if the rest is
        laid out anew.
        """
        self._began, self._start, self._rest = position, position["handed_out"], None
        earlier = position.get("earlier")
        same = position.get("layout", self.layout) == self.layout
        if same and position.get("accumulate", self.accumulate) == self.accumulate:
            if earlier is not None:
                self.go_on(earlier)
                self._began, self._start = earlier, position["handed_out"]
            return self._start
        before = self._laid_out(position)
        if earlier is not None:
            before.accumulate = position["accumulate"]
            before.go_on(earlier)
        before.set_epoch(position["epoch"])
        left = [rows for step in before.steps()[position["handed_out"] :] for rows in step]
        steps = self._steps_for(np.sort(np.concatenate([np.empty(0, dtype=np.int64), *left])), position["epoch"])
        self._start = len(self) - len(steps)
        self._rest = [[] for _ in range(self._start)] + steps
        return self._start

    def _laid_out(self, position: dict[str, Any]) -> BatchPlan:
        """The plan that gave a position."""
        layout = dict(position["layout"])
        if "examples" in layout:
            return BatchPlan(self.lengths, layout["examples"], shuffle=True, seed=self.seed)
        world_size = layout.pop("world_size")
        budget = TokenBudget(self.lengths, shuffle=True, seed=self.seed, **layout)
        return BatchPlan(self.lengths, 1, shuffle=True, seed=self.seed, world_size=world_size, budget=budget)

    def _steps_for(self, rows: np.ndarray, epoch: int) -> list[list[np.ndarray]]:
        """An epoch's last steps, with these examples; so many that those before make whole optimizer steps."""
        if not len(rows):
            return []
        world, lengths = self.world_size, self.lengths[rows]

        def whole(needed: int) -> int:
            before = max(0, len(self) - needed)
            return len(self) - before // self.accumulate * self.accumulate

        if self.budget is not None:
            batches = self.budget.part(rows, epoch, most=len(self) * world)
            number = whole(number_of_batches(len(batches), world)) * world
            batches = halve_largest(batches, number)
            batches += [np.empty(0, dtype=np.int64)] * (number - len(batches))
            return [batches[i : i + world] for i in range(0, number, world)]
        size = self.batch_size * world
        number = whole(number_of_batches(len(rows), size))
        found = training_batches(lengths, size, seed=self.seed, epoch=epoch, number=number)
        return [[rows[batch[rank::world]] for rank in range(world)] for batch in found]

    def __len__(self) -> int:
        """Of a whole epoch, also when the next iteration begins in the middle."""
        if self.budget is not None:
            return self.budget.number // self.world_size
        return number_of_batches(len(self.lengths), self.batch_size * self.world_size)

    def steps(self) -> list[list[np.ndarray]]:
        """The row numbers of the batches of the whole epoch: of each step, those of each process."""
        world = self.world_size
        if self.drawn is not None:
            return self.drawn
        if self._rest is not None and self._began is not None and self._began["epoch"] == self.epoch:
            return self._rest
        if self.budget is not None:
            batches = self.budget.batches(self.epoch)
            return [batches[i : i + world] for i in range(0, len(batches), world)]
        size = self.batch_size * world
        if self.shuffle:
            batches = training_batches(self.lengths, size, seed=self.seed, epoch=self.epoch)
        else:
            batches = evaluation_batches(self.lengths, size)
        return [[batch[rank::world] for rank in range(world)] for batch in batches]

    def batches(self) -> list[np.ndarray]:
        """The row numbers of this process's batches of the epoch; of those before `start`, maybe none."""
        return [step[self.rank] if step else np.empty(0, dtype=np.int64) for step in self.steps()]

    def __iter__(self) -> Iterator[BatchKey]:
        for batch in self.batches()[self.start :]:
            yield self.epoch, batch.tolist()
