"""Texts of a stream become batches: block by block, each shuffled, tokenized and dealt out by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightning_nlp.data.batches.budget import TokenBudget
from lightning_nlp.data.batches.loader import Batch
from lightning_nlp.data.batches.plan import FixedSize
from lightning_nlp.data.streaming.corpus import CHUNK_ROWS, Corpus
from lightning_nlp.data.streaming.turns import Position, Turns
from lightning_nlp.errors import UserError

# Books instead of sentences: a block ends when its texts have so many characters, whatever its rows.
BLOCK_CHARACTERS = 1 << 24
# A pass may hold nothing for one of many readers of a small corpus, but not so many in a row.
EMPTY_BLOCKS = 10


def block_batches(lengths: np.ndarray, layout: dict[str, Any], seed: int, block: int) -> list[np.ndarray]:
    """Deal a block's examples out to batches, as arrays of numbers; `block` and `seed` choose the order.

    Args:
        lengths: (examples,) lengths in tokens.
        layout: `batch_size`, or `budget`: arguments of `TokenBudget`.
    """
    if not len(lengths):
        return []
    if "budget" not in layout:
        return FixedSize(lengths, layout["batch_size"], seed=seed).batches(block, np.arange(len(lengths)))
    return TokenBudget(lengths, **layout["budget"], seed=seed).block(block)


@dataclass(frozen=True)
class Blocks:
    """Makes the blocks and batches of a reader."""

    corpus: Corpus
    # Token ids of texts, in pieces of allowed length; and for each, the number of its text.
    tokenize: Callable[[list[str]], tuple[list[np.ndarray], list[int]]]
    collate: Callable[[dict[str, Any], int], Batch]  # of `input_ids`, and as `index` what chooses the masks
    layout: dict[str, Any]  # as for `block_batches`, and `rows`, how many a block has
    seed: int
    held_out: dict[int, int]  # how many of each shard's first rows are kept for validation and test
    hidden: frozenset[bytes]  # the held-out examples as `TokenRows.digests` has them: copies are left out

    def batches(self, turns: Turns, position: Position) -> Iterator[tuple[Position, Batch]]:
        """Batches from where a reader stands, without end, each with the position after it.

        Raises:
            UserError: If the corpus cannot be read, or gives nothing to train on.
        """
        blocks, done, empty = self._blocks(turns, position), position.batch, 0
        with ThreadPoolExecutor(1) as thread:  # the next block is made while this one is trained on
            waiting = thread.submit(next, blocks)
            while True:
                at, ids, keys = waiting.result()
                waiting = thread.submit(next, blocks)
                empty = 0 if ids else empty + 1
                if empty == EMPTY_BLOCKS:
                    raise UserError(
                        f"{empty} blocks of texts in a row held nothing to train on: look at --data.path and its "
                        "columns."
                    )
                lengths = np.array([len(example) for example in ids], dtype=np.int64)
                batches = block_batches(lengths, self.layout, self.seed, at.block)[done:]
                left = sum(map(len, batches))
                for number, batch in enumerate(batches, done + 1):
                    left -= len(batch)
                    after = at._replace(batch=number, left=left) if left else _next_block(at)
                    yield after, self.collate({"input_ids": [ids[i] for i in batch], "index": keys[batch]}, 0)
                done = 0

    def _blocks(self, turns: Turns, at: Position) -> Iterator[tuple[Position, list[np.ndarray], np.ndarray]]:
        """Blocks from where a reader stands: the position before the first batch, and the columns."""
        texts: list[tuple[str, str]] = []
        size = 0
        for turn, row, place, text in self._texts(turns, at.turn, at.row):
            if text is not None:
                texts.append((place, text))
                size += len(text)
            if text is None or len(texts) >= self.layout["rows"] or size >= BLOCK_CHARACTERS:
                at = Position(at.turn, at.row, turn, row, at.block)
                yield at, *self._examples(texts)
                at, texts, size = _next_block(at), [], 0

    def _texts(self, turns: Turns, turn: int, row: int) -> Iterator[tuple[int, int, str, str | None]]:
        """A reader's texts from a row on: the turn and row after each, its place, the text; None where a pass ends."""
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
        """Tokenize, and leave out what is held out."""
        found: list[np.ndarray] = []
        keys: list[int] = []
        for start in range(0, len(texts), CHUNK_ROWS):
            part = texts[start : start + CHUNK_ROWS]
            ids, origins = self.tokenize([text for _, text in part])
            number = 0
            for i, (example, origin) in enumerate(zip(ids, origins, strict=True)):
                number = number + 1 if i and origin == origins[i - 1] else 0
                if not self.hidden or hashlib.blake2b(example.tobytes(), digest_size=16).digest() not in self.hidden:
                    found.append(example)
                    keys.append(_mask_key(f"{part[origin][0]} {number}"))
        return found, np.array(keys, dtype=np.int64)


def _next_block(at: Position) -> Position:
    return Position(at.next_turn, at.next_row, at.next_turn, at.next_row, at.block + 1)


def _mask_key(place: str) -> int:
    """A number below 2^63 for an example's place: other masks in each pass, the same ones whoever reads it."""
    return int.from_bytes(hashlib.blake2b(place.encode(), digest_size=8).digest(), "little") >> 1
