"""Which reader reads which part of a stream, and how texts become batches: in blocks, each shuffled on its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from lightning_nlp.data.batches.budget import TokenBudget
from lightning_nlp.data.batches.loader import Batch
from lightning_nlp.data.batches.plan import FixedSize
from lightning_nlp.data.streaming.corpus import CHUNK_ROWS, Corpus
from lightning_nlp.errors import UserError

BLOCK_CHARACTERS = 1 << 24  # ends a block of long texts (books), however few they are
EMPTY_BLOCKS = 10  # in a row are an error; with a small corpus some readers get none in a pass


class Piece(NamedTuple):
    """What a reader reads in one turn: a shard, or its part of a shard that several readers share."""

    epoch: int  # the pass over the corpus, from 0
    shard: int
    part: int = 0  # the rows whose number % parts is this
    parts: int = 1
    row: int = 0  # the first one


class ReaderPosition(NamedTuple):
    """A reader's position: before a batch of a block of texts."""

    turn: int  # where the block begins
    row: int
    next_turn: int  # where the next block begins
    next_row: int
    block: int = 0  # its number among this reader's
    batch: int = 0  # the next one of the block
    left: int = 0  # examples left in the block

    def next_block(self) -> ReaderPosition:
        """The position before the next block."""
        return ReaderPosition(self.next_turn, self.next_row, self.next_turn, self.next_row, self.block + 1)


@dataclass(frozen=True)
class Turns:
    """An endless sequence of shards, shuffled for each pass; reader k of n reads those of turns k, k + n, ...

    So readers keep pace, and each shard is read once per pass: in parts, if there are more readers than shards.
    """

    shards: int
    seed: int
    readers: int  # of all processes
    queue: tuple[Piece, ...] = ()  # comes first: what a different number of readers had left of a pass

    def piece(self, turn: int) -> Piece:
        """What to read in a turn."""
        if turn < len(self.queue):
            return self.queue[turn]
        parts = -(-self.readers // self.shards)
        epoch, place = divmod(turn - len(self.queue), self.shards * parts)
        epoch += self.queue[-1].epoch + 1 if self.queue else 0
        number = int(_shuffled(self.shards * parts, self.seed, epoch)[place])
        return Piece(epoch, number // parts, number % parts, parts)

    def beginning(self) -> list[ReaderPosition]:
        """The readers' positions before the first batch."""
        return [ReaderPosition(turn, 0, turn, 0) for turn in range(self.readers)]

    def shared_among(self, readers: int, positions: Sequence[ReaderPosition]) -> Turns:
        """The turns for another number of readers: first the rest of the passes already begun.

        Each reader starts at its next block: the rest of the open one is skipped; no text is read twice.
        """
        last = max(self.piece(position.next_turn).epoch for position in positions)
        if self.queue:
            last = max(last, self.queue[-1].epoch)
        queue = []
        for position in positions:
            turn, row = position.next_turn, position.next_row
            while (piece := self.piece(turn)).epoch <= last:
                queue.append(piece._replace(row=max(row, piece.row)))
                turn, row = turn + self.readers, 0
        return replace(self, readers=readers, queue=tuple(sorted(queue, key=lambda piece: piece.epoch)))


@lru_cache(maxsize=4)
def _shuffled(number: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(number)


def block_batches(lengths: np.ndarray, layout: dict[str, Any], seed: int, block: int) -> list[np.ndarray]:
    """The batches of a block's examples, in an order determined by `seed` and `block`."""
    if not len(lengths):
        return []
    if "budget" not in layout:
        return FixedSize(lengths, layout["batch_size"], seed=seed).batches(block, np.arange(len(lengths)))
    return TokenBudget(lengths, **layout["budget"], seed=seed).block(block)


@dataclass(frozen=True)
class Blocks:
    """Makes the blocks and batches of a reader."""

    corpus: Corpus
    tokenize: Callable[[list[str]], tuple[list[np.ndarray], list[int]]]  # token ids, and the index of each one's text
    collate: Callable[[dict[str, Any], int], Batch]  # of `input_ids` and `index`, which determines the masks
    layout: dict[str, Any]  # `rows` of a block; `batch_size`, or `budget` with arguments of `TokenBudget`
    seed: int
    held_out: dict[int, int]  # how many of each shard's first rows are kept for validation and test
    hidden: frozenset[bytes]  # `TokenRows.digests` of held-out examples, whose copies are skipped

    def batches(self, turns: Turns, position: ReaderPosition) -> Iterator[tuple[ReaderPosition, Batch]]:
        """Endless batches from a reader's position on, and the position after each.

        Raises:
            UserError: If the corpus cannot be read, or contains nothing to train on.
        """
        blocks, done, empty = self._blocks(turns, position), position.batch, 0
        with ThreadPoolExecutor(1) as thread:  # makes the next block while this one is trained on
            waiting = thread.submit(next, blocks)
            while True:
                at, ids, keys = waiting.result()
                waiting = thread.submit(next, blocks)
                empty = 0 if ids else empty + 1
                if empty == EMPTY_BLOCKS:
                    raise UserError(f"{empty} blocks of texts in a row had nothing to train on: check --data.path.")
                lengths = np.array([len(example) for example in ids], dtype=np.int64)
                batches = block_batches(lengths, self.layout, self.seed, at.block)[done:]
                left = sum(map(len, batches))
                for number, batch in enumerate(batches, done + 1):
                    left -= len(batch)
                    after = at._replace(batch=number, left=left) if left else at.next_block()
                    yield after, self.collate({"input_ids": [ids[i] for i in batch], "index": keys[batch]}, 0)
                done = 0

    def _blocks(
        self, turns: Turns, at: ReaderPosition
    ) -> Iterator[tuple[ReaderPosition, list[np.ndarray], np.ndarray]]:
        """Yield blocks from a position on: the position before each, token ids, mask keys."""
        texts, size = list[tuple[str, str]](), 0
        for turn, row, place, text in self._texts(turns, at.turn, at.row):
            if text is not None:
                texts.append((place, text))
                size += len(text)
            if text is None or len(texts) >= self.layout["rows"] or size >= BLOCK_CHARACTERS:
                at = ReaderPosition(at.turn, at.row, turn, row, at.block)
                yield at, *self._examples(texts)
                at, texts, size = at.next_block(), [], 0

    def _texts(self, turns: Turns, turn: int, row: int) -> Iterator[tuple[int, int, str, str | None]]:
        """Yield texts from a row on: turn and row after each, its place, the text (None ends a pass)."""
        while True:
            piece = turns.piece(turn)
            first = max(row, piece.row, self.held_out.get(piece.shard, 0))
            rows = self.corpus.rows("train", piece.shard, row=first, part=piece.part, parts=piece.parts)
            for number, text in rows:
                yield turn, number + 1, f"{piece.epoch} {piece.shard} {number}", text
            turn, row = turn + turns.readers, 0
            if turns.piece(turn).epoch != piece.epoch:
                yield turn, row, "", None

    def _examples(self, texts: list[tuple[str, str]]) -> tuple[list[np.ndarray], np.ndarray]:
        """Token ids without held-out texts; mask keys below 2^63, new in each pass."""
        ids, keys = list[np.ndarray](), list[int]()
        for start in range(0, len(texts), CHUNK_ROWS):
            part = texts[start : start + CHUNK_ROWS]
            for example, origin in zip(*self.tokenize([text for _, text in part]), strict=True):
                digest = hashlib.blake2b(example.tobytes(), digest_size=16).digest()
                if digest not in self.hidden:
                    key = hashlib.blake2b(part[origin][0].encode() + digest, digest_size=8).digest()
                    ids.append(example)
                    keys.append(int.from_bytes(key, "little") >> 1)
        return ids, np.array(keys, dtype=np.int64)
