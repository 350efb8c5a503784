import hashlib
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from lightning_nlp.data.streaming import blocks as blocks_module
from lightning_nlp.data.streaming.blocks import Blocks, Piece, ReaderPosition, Turns

ROWS = {"rows": 40}
BY_SIZE = {**ROWS, "batch_size": 8}
BY_TOKENS = {**ROWS, "budget": {"tokens": 60, "packed": True, "window_batches": 8}}
PADDED = {**ROWS, "budget": {"tokens": 64, "packed": False, "window_batches": 50}}
SIZES = (70, 130, 33)


class ToyCorpus:
    """Texts "shard row" of different lengths, on three shards of different sizes."""

    def __init__(self, sizes=SIZES, text="{shard} {row}"):
        self.sizes = sizes
        self.text = text

    def shards(self, split="train"):
        return len(self.sizes)

    def rows(self, split, shard, *, row=0, part=0, parts=1):
        for number in range(row, self.sizes[shard]):
            if number % parts == part:
                yield number, self.text.format(shard=shard, row=number)


def toy_tokens(texts):
    """An array for each text: its two numbers, and as many zeros as the row tells; some texts are split, some empty."""
    ids, origins = [], []
    for origin, text in enumerate(texts):
        if not text.strip():
            continue
        shard, row = map(int, text.split())
        ids.append(np.array([shard, row] + [0] * (row % 13), dtype=np.int32))
        origins.append(origin)
        if row % 7 == 0:  # a second piece
            ids.append(np.array([shard, row, 1], dtype=np.int32))
            origins.append(origin)
    return ids, origins


def toy_collate(columns, epoch):
    return columns


def toy_blocks(layout, corpus=None, held_out=None, hidden=(), seed=3, collate=toy_collate):
    return Blocks(corpus or ToyCorpus(), toy_tokens, collate, layout, seed, held_out or {}, frozenset(hidden))


def name(ids):
    return int(ids[0]), int(ids[1]), len(ids) == 3 and ids[2] == 1


def names(batch):
    return [name(ids) for ids in batch["input_ids"]]


def first_pass(sizes=SIZES):
    """All examples of pass 0 by key: one block, one batch."""
    turns, blocks = Turns(len(sizes), 0, 1), toy_blocks({"rows": 10**6, "batch_size": 10**6}, ToyCorpus(sizes))
    _, batch = next(blocks.batches(turns, *turns.beginning()))
    return dict(zip(batch["index"].tolist(), names(batch), strict=True))


def until_next_pass(blocks, turns, position):
    """The batches of a reader until it has left pass 0, each with the position after it."""
    for after, batch in blocks.batches(turns, position):
        yield after, batch
        if turns.piece(after.turn).epoch:
            return


@pytest.mark.parametrize("layout", [BY_SIZE, BY_TOKENS, PADDED])
@pytest.mark.parametrize("readers", [1, 2, 5])
def test_each_example_comes_once_in_a_pass(layout, readers):
    turns, pass_0, seen = Turns(3, 3, readers), first_pass(), Counter()
    for position in turns.beginning():
        for _, batch in until_next_pass(toy_blocks(layout), turns, position):
            lengths = list(map(len, batch["input_ids"]))
            assert len(lengths) <= 8 or layout is not BY_SIZE
            assert sum(lengths) <= 60 or layout is not BY_TOKENS
            assert len(lengths) * -(-max(lengths) // 8) * 8 <= 64 or layout is not PADDED
            for key, found in zip(batch["index"].tolist(), names(batch), strict=True):
                assert pass_0.get(key, found) == found, "an example has its masks whoever reads it"
                seen[key] += key in pass_0
    assert +seen == Counter(pass_0.keys())
    rows = [(shard, row) for shard, size in enumerate(SIZES) for row in range(size)]
    assert sorted(pass_0.values()) == sorted(
        [(*row, False) for row in rows] + [(*row, True) for row in rows if row[1] % 7 == 0]
    )


@pytest.mark.parametrize("seed", range(8))
def test_other_readers_begin_at_the_next_block_and_repeat_nothing(seed):
    """What is missing of a pass in the end is just what was told to be left out."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 200, rng.integers(1, 6)).tolist()
    pass_0, turns = first_pass(sizes), Turns(len(sizes), seed, int(rng.integers(1, 5)))
    seen, left_out = Counter(), 0
    for layout in (BY_SIZE, BY_TOKENS, {"rows": 15, "batch_size": 4}, PADDED):
        blocks, positions = toy_blocks(layout, ToyCorpus(sizes)), turns.beginning()
        for number, position in enumerate(positions):
            for after, batch in islice(until_next_pass(blocks, turns, position), rng.integers(0, 9)):
                positions[number] = after
                seen.update(batch["index"].tolist())
        left_out += sum(at.left for at in positions if not turns.piece(at.turn).epoch)
        turns = turns.shared_among(int(rng.integers(1, 5)), positions)
    blocks = toy_blocks(BY_SIZE, ToyCorpus(sizes))
    for position in turns.beginning():
        for _, batch in until_next_pass(blocks, turns, position):
            seen.update(batch["index"].tolist())
    assert max(seen.values()) == 1
    assert len(pass_0.keys() - seen.keys()) == left_out


def test_what_is_held_out_is_not_trained_on():
    hidden = hashlib.blake2b(toy_tokens(["1 40"])[0][0].tobytes(), digest_size=16).digest()
    blocks, turns = toy_blocks(BY_SIZE, held_out={0: 20, 2: 33}, hidden={hidden}), Turns(3, 3, 1)
    found = {name for _, batch in until_next_pass(blocks, turns, *turns.beginning()) for name in names(batch)}
    assert found == {
        (shard, row, second)
        for shard, row, second in first_pass().values()
        if not (shard == 0 and row < 20) and shard != 2 and (shard, row, second) != (1, 40, False)
    }


def test_a_block_ends_early_where_its_texts_are_long(monkeypatch):
    monkeypatch.setattr(blocks_module, "BLOCK_CHARACTERS", 50)
    turns = Turns(3, 3, 1)
    _, batch = next(toy_blocks({**ROWS, "batch_size": 1000}).batches(turns, *turns.beginning()))
    assert len(batch["index"]) < 20


def test_passes_and_seeds_have_orders_and_masks_of_their_own():
    blocks, turns = toy_blocks({**ROWS, "batch_size": 100}, ToyCorpus((40,))), Turns(1, 3, 1)
    (_, first), (_, second) = islice(blocks.batches(turns, *turns.beginning()), 2)
    assert names(first) != names(second)
    assert sorted(names(first)) == sorted(names(second))
    assert len({*first["index"].tolist(), *second["index"].tolist()}) == 2 * len(first["index"])
    shards = [[Turns(20, seed, 1).piece(turn).shard for turn in turns] for seed, turns in
              ((3, range(20)), (3, range(20, 40)), (4, range(20)))]  # fmt: skip
    assert len({*map(tuple, shards)}) == 3
    assert {Turns(20, 3, 4).piece(turn).parts for turn in range(20)} == {1}, "no shard is shared needlessly"


def test_other_readers_finish_each_pass_that_was_begun():
    """Also one that none of the readers has come to again."""
    left = (Piece(0, 1, row=5), Piece(0, 2), Piece(1, 0, row=7))
    turns = Turns(3, 3, 1, queue=left).shared_among(2, [ReaderPosition(0, 5, 0, 9)])
    assert turns.queue == (Piece(0, 1, row=9), *left[1:])
    assert {turns.piece(turn).epoch for turn in range(3, 6)} == {2}
