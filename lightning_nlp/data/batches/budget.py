"""Training batches of a number of tokens, not of examples."""

import math
from bisect import bisect_left, insort
from dataclasses import KW_ONLY, dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from lightning_nlp.data.batches.eval_batches import cut, padded_lengths
from lightning_nlp.data.batches.plan import last_steps, sort_windows

SLACK = 500  # an epoch has one batch in SLACK more than epoch 0 needs: room for less lucky ones


@dataclass
class TokenBudget:
    """Training batches of at most `tokens` tokens, padding counted.

    They are filled from shuffled windows of similar length and differ from epoch to epoch, but their number does
    not: Lightning asks for it once, and the schedule depends on it. If an epoch needs fewer, its largest batches are
    halved; if it needs more, it is filled again from larger windows, which waste less. The rest is as in `FixedSize`.

    Args:
        lengths: (examples,) lengths in tokens, none above `tokens`.
        packed: Whether batches have no padding; otherwise rows are padded to the longest, rounded up.
        window_batches: A window holds the examples of this many batches. 0 fills packed batches in random order.
    """

    lengths: np.ndarray
    tokens: int
    _: KW_ONLY
    packed: bool
    window_batches: int
    world_size: int = 1
    accumulate: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        assert 0 < self.lengths.min() <= self.lengths.max() <= self.tokens
        assert self.packed or self.window_batches > 0
        self._padded = padded_lengths(self.lengths, self.packed)
        self._window = max(1, int(self.window_batches * self.tokens / self._padded.mean()))

    @property
    def layout(self) -> dict[str, Any]:
        """As in `FixedSize`."""
        names = ("tokens", "packed", "window_batches", "world_size", "accumulate")
        return {name: getattr(self, name) for name in names}

    @cached_property
    def steps(self) -> int:
        """Steps in each epoch."""
        first = len(self._fill(self._permutation(0), self._window))
        one_window = len(self._fill(np.arange(len(self.lengths)), len(self.lengths)))
        return math.ceil((max(first, one_window) + first // SLACK) / self.world_size)

    def batches(self, epoch: int, rows: np.ndarray) -> list[np.ndarray]:
        """These rows as the last steps of an epoch, in random order but the largest batch first."""
        order = self._permutation(epoch)
        order, window = order[np.isin(order, rows)], self._window
        while len(batches := self._fill(order, window)) > self.steps * self.world_size:
            assert window < len(order), "one window over all is what `steps` counted"
            window *= 2
        needed, share = math.ceil(len(batches) / self.world_size), len(rows) / len(self.lengths)
        number = last_steps(self.steps, needed, share, self.accumulate) * self.world_size
        batches = self._shuffled(halve_largest(batches, number), epoch, 1)
        # Attention's memory grows with a length's square: if it is short, the run fails in its first step.
        largest = int(np.argmax([(self._padded[batch].astype(np.int64) ** 2).sum() for batch in batches]))
        batches[0], batches[largest] = batches[largest], batches[0]
        return batches + [rows[:0]] * (number - len(batches))

    def block(self, number: int) -> list[np.ndarray]:
        """All examples of a stream's `number`-th block in as few batches as they need, in random order."""
        return self._shuffled(self._fill(self._permutation(number), self._window), number, 2)

    def _permutation(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.lengths))

    def _shuffled(self, batches: list[np.ndarray], epoch: int, key: int) -> list[np.ndarray]:
        return [batches[i] for i in np.random.default_rng([self.seed, epoch, key]).permutation(len(batches))]

    def _fill(self, order: np.ndarray, window: int) -> list[np.ndarray]:
        if window > 1:
            windows = sort_windows(self._padded, order, window)
            # Every second one is reversed, so lengths agree where two meet, and a batch may span both.
            windows[1::2] = [part[::-1] for part in windows[1::2]]
            order = np.concatenate(windows)
        fill = best_fit if self.packed else partial(cut, packed=False)
        batches = fill(self._padded, order, self.tokens)
        if len(batches) > 1:  # the last may be too small for a step: level it with the one before
            last_two = np.concatenate(batches[-2:])
            halves = [last_two[::2], last_two[1::2]]
            if max(map(self._size, halves)) <= self.tokens:
                batches[-2:] = halves
        return batches

    def _size(self, batch: np.ndarray) -> int:
        lengths = self._padded[batch]  # padding counted
        return int(lengths.sum() if self.packed else len(lengths) * lengths.max())


def best_fit(lengths: np.ndarray, order: np.ndarray, room: int) -> list[np.ndarray]:
    """Put each row of an order in the batch that it fills best, up to `room` tokens, or in a new one."""
    shortest = int(lengths.min())
    batches: list[list[int]] = []
    open_batches: list[tuple[int, int]] = []  # (free tokens, number of the batch), ascending
    for row, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        place = bisect_left(open_batches, (length, -1))
        if place < len(open_batches):
            free, number = open_batches.pop(place)
        else:
            free, number = room, len(batches)
            batches.append([])
        batches[number].append(row)
        if free - length >= shortest:
            insort(open_batches, (free - length, number))
    return [np.array(batch) for batch in batches]


def halve_largest(batches: list[np.ndarray], number: int) -> list[np.ndarray]:
    """Halve the batches with the most examples until there are `number`, or one for each example."""
    while len(batches) < number:
        batches = sorted(batches, key=len, reverse=True)
        chosen = [batch for batch in batches[: number - len(batches)] if len(batch) > 1]
        if not chosen:
            break
        halves = [half for batch in chosen for half in (batch[::2], batch[1::2])]
        batches = halves + batches[len(chosen) :]
    return batches
