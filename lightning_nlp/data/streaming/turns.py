"""Who reads what of a corpus of shards, and where each reader stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np


class Piece(NamedTuple):
    """What is read in one turn: a shard, or one reader's part of a shard that several readers share."""

    epoch: int  # the pass over the corpus, from 0
    shard: int
    part: int = 0  # its rows are those whose number leaves this remainder when divided by `parts`
    parts: int = 1  # how many readers share the shard
    row: int = 0  # the first one


class Position(NamedTuple):
    """Where a reader stands: before a batch of a block of texts."""

    turn: int  # that the block begins in
    row: int  # there
    next_turn: int  # that the next block begins in
    next_row: int
    block: int = 0  # its number among those of this reader
    batch: int = 0  # the next one of the block; 0 where none of it was handed out
    left: int = 0  # how many examples are in that batch and those after it; 0 where `batch` is 0


@dataclass(frozen=True)
class Turns:
    """An endless sequence of shards, shuffled anew for each pass; reader k of n has turns k, k + n, k + 2n and so on.

    So all readers come along equally far whatever the number of shards, and each shard is read once in each
    pass. If there are fewer shards than readers, each shard comes several times in a pass, in parts.
    """

    shards: int
    seed: int  # of their order
    readers: int  # how many there are, in all processes together
    queue: tuple[Piece, ...] = ()  # first comes what other readers had left of a pass, then the next pass

    def piece(self, turn: int) -> Piece:
        """What is read in a turn, counted from 0."""
        if turn < len(self.queue):
            return self.queue[turn]
        parts = -(-self.readers // self.shards)
        epoch, place = divmod(turn - len(self.queue), self.shards * parts)
        epoch += self._last + 1
        number = int(_shuffled(self.shards * parts, self.seed, epoch)[place])
        return Piece(epoch, number // parts, number % parts, parts)

    @property
    def _last(self) -> int:
        """The last pass of the queue."""
        return self.queue[-1].epoch if self.queue else -1

    def beginning(self) -> list[Position]:
        """Where the readers stand before the first batch."""
        return [Position(turn, 0, turn, 0) for turn in range(self.readers)]

    def dealt_anew(self, positions: Sequence[Position], readers: int) -> Turns:
        """The turns of another number of readers: first the rest of the passes that were begun.

        The rest begins with the next block of each reader (`positions` has all), so no text comes twice in a
        pass, and what had not been handed out of a block that was begun does not come in this one.
        """
        last = max(self._last, *(self.piece(position.next_turn).epoch for position in positions))
        queue = []
        for position in positions:
            turn, row = position.next_turn, position.next_row
            while (piece := self.piece(turn)).epoch <= last:
                queue.append(piece._replace(row=max(row, piece.row)))
                turn, row = turn + self.readers, 0
        queue.sort(key=lambda piece: piece.epoch)
        return replace(self, readers=readers, queue=tuple(queue))


@lru_cache(maxsize=4)
def _shuffled(number: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(number)
