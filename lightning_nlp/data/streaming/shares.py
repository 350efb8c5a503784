"""Who reads what of a corpus of shards, and where each reader stands."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np


class Piece(NamedTuple):
    """A shard, or its rows from one to another, or every so manieth chunk of them.

    Attributes:
        epoch: The pass over the corpus, from 0.
        shard: The shard's number.
        part: Which of the `parts` this is; shards are shared only where there are fewer of them than readers.
        parts: How many readers share the shard.
        row: The first row.
        until: The row after the last; None reads to the shard's end.
    """

    epoch: int
    shard: int
    part: int = 0
    parts: int = 1
    row: int = 0
    until: int | None = None


class Position(NamedTuple):
    """Where a reader stands: before a batch of a block, and where the block lies.

    Attributes:
        block: The block's number among those of this reader, from 0.
        batch: The next batch of it, from 0.
        piece: Its first piece, by number among those of this reader.
        row: Its first row there.
        next_piece: The piece that the next block begins in.
        next_row: The row that it begins at.
    """

    block: int = 0
    batch: int = 0
    piece: int = 0
    row: int = 0
    next_piece: int = 0
    next_row: int = 0


@dataclass(frozen=True)
class Rest:
    """The examples of a block that a training with other batches or readers had left.

    Attributes:
        pieces: Where the block lies.
        history: For each layout that it was dealt out in so far: the layout, the block's number, the batches done.
    """

    pieces: tuple[Piece, ...]
    history: tuple[tuple[dict[str, Any], int, int], ...]


@dataclass(frozen=True)
class Share:
    """What one of several readers reads: its turns in an endless sequence of shards, shuffled anew for each pass.

    The passes follow each other in one sequence, which the readers take turns in. So all of them come along equally far
    whatever the number of shards, and each shard is read once in each pass.

    Args:
        shards: How many there are.
        seed: Of their order.
        number: Which reader this is, from 0.
        readers: How many there are.
        first_epoch: The pass that the sequence begins with.
        queue: Pieces that come before the sequence.
        rests: Blocks that come before those.
    """

    shards: int
    seed: int
    number: int
    readers: int
    first_epoch: int = 0
    queue: tuple[Piece, ...] = ()
    rests: tuple[Rest, ...] = ()

    def piece(self, place: int) -> Piece:
        """One of this reader's pieces.

        Args:
            place: Its number, from 0.
        """
        if place < len(self.queue):
            return self.queue[place]
        parts = -(-self.readers // self.shards)
        epoch, turn = divmod((place - len(self.queue)) * self.readers + self.number, self.shards * parts)
        number = int(_shuffled(self.shards * parts, self.seed, self.first_epoch + epoch)[turn])
        return Piece(self.first_epoch + epoch, number // parts, number % parts, parts)

    def between(self, place: int, row: int, next_place: int, next_row: int) -> tuple[Piece, ...]:
        """The pieces from one point of this share to another, which a block may span.

        Args:
            place: The first piece's number.
            row: The row in it.
            next_place: The last piece's number.
            next_row: The row in it, not included.
        """
        pieces = [self.piece(number) for number in range(place, next_place + 1)]
        pieces[-1] = pieces[-1]._replace(until=next_row)
        pieces[0] = pieces[0]._replace(row=max(row, pieces[0].row))
        return tuple(pieces)


@lru_cache(maxsize=4)
def _shuffled(number: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(number)


@dataclass(frozen=True)
class Reader:
    """A share, the point in it, and the layout of its batches."""

    share: Share
    position: Position = field(default_factory=Position)

    def state(self) -> dict[str, Any]:
        """For a checkpoint: plain numbers."""
        share = self.share
        return {
            "first_epoch": share.first_epoch,
            "queue": [list(piece) for piece in share.queue],
            "rests": [
                {"pieces": [list(piece) for piece in rest.pieces], "history": [list(entry) for entry in rest.history]}
                for rest in share.rests
            ],
            "position": list(self.position),
        }


def new_readers(shards: int, readers: int, seed: int) -> list[Reader]:
    """All readers of a training that begins.

    Args:
        shards: How many shards the corpus has.
        readers: How many readers.
        seed: Of the shards' order.
    """
    return [Reader(Share(shards, seed, number, readers)) for number in range(readers)]


def restored_readers(states: list[dict[str, Any]], shards: int, seed: int) -> list[Reader]:
    """All readers, as their `state` tells.

    Args:
        states: Of all of them, in their order.
        shards: As for `new_readers`.
        seed: As for `new_readers`.
    """
    return [
        Reader(
            Share(
                shards,
                seed,
                number,
                len(states),
                state["first_epoch"],
                tuple(Piece(*piece) for piece in state["queue"]),
                tuple(
                    Rest(tuple(Piece(*piece) for piece in rest["pieces"]), tuple(map(tuple, rest["history"])))
                    for rest in state["rests"]
                ),
            ),
            Position(*state["position"]),
        )
        for number, state in enumerate(states)
    ]


def dealt_anew(old: list[Reader], readers: int, layout: dict[str, Any]) -> list[Reader]:
    """Other readers for what the old ones have left: each example of each pass is still read exactly once.

    The passes that were begun are brought to their end piece by piece; then a sequence for the new readers begins.

    Args:
        old: All readers of the training so far.
        readers: How many there are now.
        layout: Of the old readers' batches.
    """
    rests: list[Rest] = []
    pieces: list[Piece] = []
    last = max(
        max(reader.share.first_epoch - 1, reader.share.piece(reader.position.next_piece).epoch) for reader in old
    )
    for reader in old:
        share, at = reader.share, reader.position
        done = at.block
        if at.batch:  # a block is begun: it is one of the rests, or lies between two points
            if at.block < len(share.rests):
                rest = share.rests[at.block]
                rests.append(Rest(rest.pieces, (*rest.history, (layout, at.block, at.batch))))
            else:
                spans = share.between(at.piece, at.row, at.next_piece, at.next_row)
                rests.append(Rest(spans, ((layout, at.block, at.batch),)))
            done += 1
        rests += share.rests[done:]
        place = at.next_piece
        first = share.piece(place)
        pieces.append(first._replace(row=max(first.row, at.next_row)))
        while (piece := share.piece(place := place + 1)).epoch <= last:
            pieces.append(piece)
    pieces.sort(key=lambda piece: piece.epoch)
    shares = [
        replace(
            old[0].share,
            number=number,
            readers=readers,
            first_epoch=last + 1,
            queue=tuple(pieces[number::readers]),
            rests=tuple(rests[number::readers]),
        )
        for number in range(readers)
    ]
    return [Reader(share) for share in shares]
