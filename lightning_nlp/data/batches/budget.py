"""Batches filled to a number of tokens instead of a number of examples."""

from __future__ import annotations

from bisect import bisect_left, insort
from functools import cached_property
from typing import Any

import numpy as np

from lightning_nlp.data.batches.collators import PAD_MULTIPLE

SLACK = 500  # an epoch has one batch in so many more than epoch 0 needs: room for less lucky ones


class TokenBudget:
    """An epoch's batches, none of which holds more than `tokens` tokens, padding counted.

    Training batches are filled from shuffled windows of similar length, and differ from epoch to epoch. Yet
    their number is the same in each: Lightning asks for it once, and the learning rate's schedule is laid out
    by it. What an epoch needs fewer is made up by halving its largest batches; where one needs more, it is
    filled anew from larger windows, the fewer batches the larger they are.

    Args:
        lengths: (examples,) lengths in tokens, none above `tokens`.
        packed: Whether batches have no padding; otherwise rows are padded to the longest, rounded up.
        shuffle: True for training (differs by epoch), False for evaluation (longest first).
        window_batches: Examples for so many batches are sorted by length among themselves. 0 fills packed
            batches in random order.
        multiple_of: Round the number of batches up to a multiple of this, for as many processes; where
            examples are too few, some batches are empty.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        tokens: int,
        *,
        packed: bool,
        shuffle: bool,
        window_batches: int,
        multiple_of: int = 1,
        seed: int = 0,
    ) -> None:
        assert 0 < lengths.min() <= lengths.max() <= tokens
        assert packed or window_batches > 0
        self.lengths = lengths if packed else -(-lengths // PAD_MULTIPLE) * PAD_MULTIPLE
        self.tokens = tokens
        self.packed = packed
        self.shuffle = shuffle
        self.window_batches = window_batches
        self.window = max(1, int(window_batches * tokens / self.lengths.mean()))
        self.multiple_of = multiple_of
        self.seed = seed

    @property
    def layout(self) -> dict[str, Any]:
        """The arguments that, besides the lengths and the seed, decide the batches of training."""
        names = ("tokens", "packed", "window_batches", "multiple_of")
        return {name: int(getattr(self, name)) for name in names}

    @cached_property
    def number(self) -> int:
        """Batches of each epoch."""
        if self.shuffle:
            first = len(self._fill(self._permutation(0), self.window))
            number = max(first, len(self._fill(np.arange(len(self.lengths)), len(self.lengths)))) + first // SLACK
        else:
            number = len(self._evaluation())
        return -(-number // self.multiple_of) * self.multiple_of

    def batches(self, epoch: int) -> list[np.ndarray]:
        """The row numbers of an epoch's batches, `number` arrays; each example is in exactly one."""
        batches = self._training(epoch) if self.shuffle else self._evaluation()
        return batches + [np.empty(0, dtype=np.int64)] * (self.number - len(batches))

    def part(self, rows: np.ndarray, epoch: int, *, most: int) -> list[np.ndarray]:
        """Batches for some rows of an epoch, as few as there are; `most` would be enough for all of it."""
        left = np.zeros(len(self.lengths), dtype=bool)
        left[rows] = True
        order = self._permutation(epoch)
        batches = self._fill_at_most(most, order[left[order]])
        return [batches[i] for i in np.random.default_rng([self.seed, epoch, 2]).permutation(len(batches))]

    def _permutation(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self.lengths))

    def _training(self, epoch: int) -> list[np.ndarray]:
        batches = halve_largest(self._fill_at_most(self.number, self._permutation(epoch)), self.number)
        batches = [batches[i] for i in np.random.default_rng([self.seed, epoch, 1]).permutation(len(batches))]
        # Attention's room grows with the square. If memory is short, the run fails in its first step.
        largest = int(np.argmax([(self.lengths[batch].astype(np.int64) ** 2).sum() for batch in batches]))
        batches[0], batches[largest] = batches[largest], batches[0]
        return batches

    def _evaluation(self) -> list[np.ndarray]:
        return cut(self.lengths, np.argsort(-self.lengths, kind="stable"), self.tokens, packed=self.packed)

    def _fill_at_most(self, most: int, order: np.ndarray) -> list[np.ndarray]:
        window = self.window
        while len(batches := self._fill(order, window)) > most:
            assert window < len(order), "one window over all is what `number` counted"
            window *= 2
        return batches

    def _fill(self, order: np.ndarray, window: int) -> list[np.ndarray]:
        if window > 1:
            windows = sort_windows(self.lengths, order, window)
            # Every second one backwards: where two meet their lengths agree, and a batch may span both.
            windows[1::2] = [part[::-1] for part in windows[1::2]]
            order = np.concatenate(windows)
        if self.packed:
            batches = best_fit(self.lengths, order, self.tokens)
        else:
            batches = cut(self.lengths, order, self.tokens, packed=False)
        if len(batches) > 1:  # the last may be a crumb, too little for a step: let it share with its neighbour
            last_two = np.concatenate(batches[-2:])
            halves = [last_two[::2], last_two[1::2]]
            if max(map(self._size, halves)) <= self.tokens:
                batches[-2:] = halves
        return batches

    def _size(self, batch: np.ndarray) -> int:
        lengths = self.lengths[batch]  # padding counted
        return int(lengths.sum() if self.packed else len(lengths) * lengths.max())


def sort_windows(lengths: np.ndarray, order: np.ndarray, window: int) -> list[np.ndarray]:
    """Cut an order into windows of so many examples, each sorted by length, the longest first.

    A stable sort of a shuffled order keeps short sentences from always meeting again.
    """
    windows = np.array_split(order, np.arange(window, len(order), window))
    return [part[np.argsort(-lengths[part], kind="stable")] for part in windows]


def best_fit(lengths: np.ndarray, order: np.ndarray, room: int) -> list[np.ndarray]:
    """Put each example, in this order, in the batch that it fills best, up to `room` tokens, or in a new one.

    Args:
        lengths: (examples,) lengths in tokens, none above `room`.
        order: Row numbers.
    """
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


def cut(lengths: np.ndarray, order: np.ndarray, room: int, *, packed: bool) -> list[np.ndarray]:
    """Cut an order of row numbers into batches, each as long as fits.

    Args:
        lengths: (examples,) lengths in tokens, as padded if they are.
        room: The most tokens in a batch; a single example may have more through its padding.
        packed: Whether a batch holds the sum of its lengths, or its rows times the longest.
    """
    if not len(order):
        return []
    bounds, start, total, longest = [], 0, 0, 0
    for place, length in enumerate(lengths[order].tolist()):
        total, longest = total + length, max(longest, length)
        if place > start and (total if packed else (place - start + 1) * longest) > room:
            bounds.append(place)
            start, total, longest = place, length, length
    return np.split(order, bounds)


def halve_largest(batches: list[np.ndarray], number: int) -> list[np.ndarray]:
    """Halve the batches with the most examples until there are so many batches, or one for each example."""
    while len(batches) < number:
        batches = sorted(batches, key=len, reverse=True)
        chosen = [batch for batch in batches[: number - len(batches)] if len(batch) > 1]
        if not chosen:
            break
        halves = [half for batch in chosen for half in (batch[::2], batch[1::2])]
        batches = halves + batches[len(chosen) :]
    return batches
