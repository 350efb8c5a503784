"""Which examples go together in a training batch, in each epoch and on each process."""

import math
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from lightning_nlp.data.batches.budget import TokenBudget, last_steps, sort_windows
from lightning_nlp.errors import UserError

BatchKey = tuple[int, list[int]]  # (epoch, row numbers): all that a worker needs to make the batch

# The examples of this many batches are sorted by length: enough to leave hardly any padding, and few enough
# that each batch stays a random draw. The HF Trainer's number, so that the two compare.
WINDOW_BATCHES = 50


@dataclass
class FixedSize:
    """Training batches of at most `examples` examples a step, dealt out to `world_size` processes.

    So 1 x 16, 2 x 8 and 4 x 4 take the same steps. Their sizes differ by at most one: no step is tiny.
    The rest is as in `TokenBudget`.
    """

    lengths: np.ndarray
    examples: int
    _: KW_ONLY
    world_size: int = 1
    accumulate: int = 1
    seed: int = 0

    @property
    def layout(self) -> dict[str, Any]:
        """What decides, besides lengths and seed, which examples share a step."""
        return {"examples": self.examples, "accumulate": self.accumulate}

    @property
    def steps(self) -> int:
        """Steps in each epoch."""
        return math.ceil(len(self.lengths) / self.examples)

    def batches(self, epoch: int, rows: np.ndarray) -> list[np.ndarray]:
        """The batches for these rows as the last steps of an epoch, in random order but the longest first."""
        lengths, rng = self.lengths[rows], np.random.default_rng([self.seed, epoch])
        windows = sort_windows(lengths, rng.permutation(len(rows)), self.examples * WINDOW_BATCHES)
        needed, share = math.ceil(len(rows) / self.examples), len(rows) / len(self.lengths)
        steps = np.array_split(np.concatenate(windows), last_steps(self.steps, needed, share, self.accumulate))
        rng.shuffle(steps)
        # If memory is short, the run fails in its first step, not after an hour.
        longest = max(range(len(steps)), key=lambda i: lengths[steps[i]].max(initial=0))
        steps[0], steps[longest] = steps[longest], steps[0]
        return [rows[step[rank :: self.world_size]] for step in steps for rank in range(self.world_size)]


class BatchPlan:
    """The training batches of an epoch for one process, as keys for `Batches`.

    Each process has the same number of batches, and no example is seen twice. If a step has too few examples
    for all processes, some get an empty key, which `Batches` turns into a filler without labels.

    The batches follow from the seed, the epoch and the layout: their size and the number of processes. If a
    training goes on in another layout, the examples left become the epoch's last batches, so each is still
    seen once. So a position is the list of the epoch's layouts, each with the number of its steps that were
    done when it ended.
    """

    def __init__(self, batching: FixedSize | TokenBudget, rank: int = 0) -> None:
        self.batching = batching
        self.rank = rank
        self.epoch = 0
        self.start = 0  # the first batch of the next iteration: not 0 only in the epoch of a resume
        self._earlier: list[tuple[dict[str, Any], int]] = []  # the epoch's layouts before this one, and steps done

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration yields."""
        if epoch != self.epoch:
            self.epoch, self.start, self._earlier = epoch, 0, []

    def position(self, done: int) -> dict[str, Any]:
        """What a checkpoint keeps after this many batches of the epoch, including those before a resume."""
        return {"epoch": self.epoch, "layouts": [*self._earlier, (self.batching.layout, done)]}

    def resume(self, position: dict[str, Any]) -> int:
        """Go on from a `position`; return how many batches of its epoch count as done.

        In another layout, those are as many as the new batches lack to a whole epoch.

        Raises:
            UserError: If an earlier version wrote it.
        """
        if "layouts" not in position:
            raise UserError(
                "The checkpoint is of an earlier version, which kept its place in the epoch differently: begin a new "
                "run, with --model.pretrained and the export of a finished one to keep its weights."
            )
        self.epoch, layouts = position["epoch"], position["layouts"]
        *self._earlier, (layout, self.start) = layouts
        if layout != self.batching.layout:
            self._earlier = layouts
            self.start = len(self) - len(self.batches())
        return self.start

    def __len__(self) -> int:
        """Of a whole epoch, even if the next iteration begins in the middle."""
        return self.batching.steps

    def batches(self) -> list[np.ndarray]:
        """The row numbers of this process's batches in the epoch: the last ones, if other layouts came before."""
        rows = np.arange(len(self.batching.lengths))
        for layout, done in self._earlier:
            make = FixedSize if "examples" in layout else TokenBudget
            before = make(self.batching.lengths, seed=self.batching.seed, **layout)
            batches, left = before.batches(self.epoch, rows), before.steps - done
            rows = np.sort(np.concatenate([rows[:0], *batches[len(batches) - left * before.world_size :]]))
            if not len(rows):
                return []
        return self.batching.batches(self.epoch, rows)[self.rank :: self.batching.world_size]

    def __iter__(self) -> Iterator[BatchKey]:
        batches = self.batches()
        for batch in batches[len(batches) - (len(self) - self.start) :]:
            yield self.epoch, batch.tolist()
