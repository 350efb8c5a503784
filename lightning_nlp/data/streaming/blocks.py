"""Texts of a stream become batches: block by block, each shuffled, tokenized and dealt out by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np

from lightning_nlp.data.budget import TokenBudget
from lightning_nlp.data.plan import training_batches
from lightning_nlp.data.streaming.corpus import CHUNK_ROWS, Corpus
from lightning_nlp.data.streaming.shares import Piece, Position, Reader, Share
from lightning_nlp.errors import UserError

# Books instead of sentences: a block ends when its texts have so many characters, whatever its rows.
BLOCK_CHARACTERS = 1 << 24

T = TypeVar("T")


class Text(NamedTuple):
    """A text, and where it stands: the pass, the shard, the row."""

    epoch: int
    shard: int
    row: int
    text: str


@dataclass
class Block:
    """Examples that are shuffled among each other.

    Attributes:
        ids: Token ids, special tokens included.
        keys: A number for each example that chooses its masks; another one in each pass.
    """

    ids: list[np.ndarray]
    keys: list[int]

    def lengths(self) -> np.ndarray:
        """(examples,) lengths in tokens."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)

    def chosen(self, numbers: np.ndarray) -> Block:
        """Some of the examples."""
        return Block([self.ids[number] for number in numbers], [self.keys[number] for number in numbers])


def block_batches(lengths: np.ndarray, layout: dict[str, Any], seed: int, block: int) -> list[np.ndarray]:
    """Deal a block's examples out.

    Args:
        lengths: (examples,) lengths in tokens.
        layout: `batch_size`; or `tokens`, `packed` and `window_batches`.
        seed: The run's seed.
        block: The block's number, which with the seed chooses the order.

    Returns:
        Arrays of numbers of examples; each example is in exactly one.
    """
    if not len(lengths):
        return []
    if "tokens" not in layout:
        return training_batches(lengths, layout["batch_size"], seed=seed, epoch=block)
    budget = TokenBudget(
        lengths,
        layout["tokens"],
        packed=bool(layout["packed"]),
        shuffle=True,
        window_batches=layout["window_batches"],
        seed=seed,
    )
    return budget.part(np.arange(len(lengths)), block, most=len(lengths))


class Blocks:
    """Makes the blocks and batches of one reader.

    Args:
        corpus: The shards.
        tokenize: Token ids of texts, in pieces of allowed length; and for each, the number of its text.
        layout: As for `block_batches`, and `rows`, how many a block has.
        seed: The run's seed.
        held_out: How many of each shard's first rows are kept for validation and test.
        hidden: Digests of the held-out examples' ids: copies of those are left out.
    """

    def __init__(
        self,
        corpus: Corpus,
        tokenize: Callable[[list[str]], tuple[list[np.ndarray], list[int]]],
        *,
        layout: dict[str, Any],
        seed: int,
        held_out: dict[int, int],
        hidden: frozenset[bytes],
    ) -> None:
        self.corpus = corpus
        self.tokenize = tokenize
        self.layout = layout
        self.seed = seed
        self.held_out = held_out
        self.hidden = hidden

    def batches(self, reader: Reader) -> Iterator[tuple[Position, Block]]:
        """Batches from where a reader stands, without end.

        Args:
            reader: It is not changed.

        Yields:
            A batch's examples, and where the reader stands after it.

        Raises:
            UserError: If the corpus cannot be read, or a whole pass over it gives nothing.
        """
        first = reader.position.batch
        for position, block in ahead(self._blocks(reader)):
            batches = block_batches(block.lengths(), self.layout, self.seed, position.block)
            after = Position(position.block + 1, 0, *position[4:], *position[4:])
            for number, batch in enumerate(batches[first:], first + 1):
                yield (position._replace(batch=number) if number < len(batches) else after), block.chosen(batch)
            first = 0

    def _blocks(self, reader: Reader) -> Iterator[tuple[Position, Block]]:
        """Blocks from where a reader stands, each with the position before its first batch."""
        share, at = reader.share, reader.position
        for number in range(at.block, len(share.rests)):
            rest = share.rests[number]
            block = self._examples([text for piece in rest.pieces for text in self._texts(piece)])
            for layout, block_number, done in rest.history:
                batches = block_batches(block.lengths(), layout, self.seed, block_number)
                block = block.chosen(np.sort(np.concatenate([np.empty(0, dtype=np.int64), *batches[done:]])))
            yield Position(block=number), block
        number, start = max(at.block, len(share.rests)), (at.piece, at.row)
        texts: list[Text] = []
        size = 0
        for place, text in self._endless(share, *start):
            texts.append(text)
            size += len(text.text)
            if len(texts) >= self.layout["rows"] or size >= BLOCK_CHARACTERS:
                end = (place, text.row + 1)
                yield Position(number, 0, *start, *end), self._examples(texts)
                number, start, texts, size = number + 1, end, [], 0

    def _endless(self, share: Share, place: int, row: int) -> Iterator[tuple[int, Text]]:
        """The texts of a share from a point on, each with the number of its piece."""
        found, since = False, share.piece(place).epoch
        while True:
            piece = share.piece(place)
            if piece.epoch > since + 1:
                if not found:
                    raise UserError("A whole pass over the corpus gives no text: look at --data.path and its columns.")
                found, since = False, piece.epoch
            for text in self._texts(piece._replace(row=max(piece.row, row))):
                found = found or bool(text.text.strip())
                yield place, text
            place, row = place + 1, 0

    def _texts(self, piece: Piece) -> Iterator[Text]:
        first = max(piece.row, self.held_out.get(piece.shard, 0))
        rows = self.corpus.rows("train", piece.shard, row=first, until=piece.until, part=piece.part, parts=piece.parts)
        for row, text in rows:
            yield Text(piece.epoch, piece.shard, row, text)

    def _examples(self, texts: list[Text]) -> Block:
        """Tokenize, and leave out what is held out."""
        block = Block([], [])
        for start in range(0, len(texts), CHUNK_ROWS):
            part = texts[start : start + CHUNK_ROWS]
            ids, origins = self.tokenize([text.text for text in part])
            pieces = 0
            for number, (example, origin) in enumerate(zip(ids, origins, strict=True)):
                pieces = pieces + 1 if number and origin == origins[number - 1] else 0
                if self.hidden and digest(example) in self.hidden:
                    continue
                block.ids.append(example)
                block.keys.append(mask_key(*part[origin][:3], pieces))
        return block


def digest(ids: np.ndarray) -> bytes:
    """As `TokenRows.digests` has it.

    Args:
        ids: An example's token ids, int32.
    """
    return hashlib.blake2b(ids.tobytes(), digest_size=16).digest()


def mask_key(epoch: int, shard: int, row: int, piece: int) -> int:
    """A number below 2^63 for an example in a pass, which chooses its masks whoever reads it.

    Args:
        epoch: The pass.
        shard: The shard's number.
        row: The text's row in it.
        piece: Which part of a text that was split.
    """
    content = f"{epoch} {shard} {row} {piece}".encode()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little") >> 1


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The items of an iterator; the next one is made in a thread while the caller works on this one.

    Args:
        items: What is iterated over, in that thread alone.
    """
    end = object()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, items, end)
        while (item := waiting.result()) is not end:
            waiting = pool.submit(next, items, end)
            yield item  # type: ignore[misc]
