import itertools
from collections import Counter

import numpy as np
import pytest

from lightning_nlp.data.streaming.shares import (
    Position,
    Reader,
    Share,
    dealt_anew,
    new_readers,
    restored_readers,
)

ROWS = 10  # of each shard


def rows_of(piece):
    """The (epoch, shard, row) of a piece; parts take turns in chunks of one row."""
    until = ROWS if piece.until is None else min(piece.until, ROWS)
    return [(piece.epoch, piece.shard, row) for row in range(piece.row, until) if row % piece.parts == piece.part]


def stream(reader, rows_a_block):
    """What a reader yields: (its position after the row, the row); a block is dealt out row by row, backwards."""
    share, at = reader.share, reader.position

    def endless(place, row):
        while True:
            piece = share.piece(place)
            for found in rows_of(piece._replace(row=max(row, piece.row))):
                yield place, found
            place, row = place + 1, 0

    def rest_rows(rest):
        rows = [row for piece in rest.pieces for row in rows_of(piece)]
        for layout, _, done in rest.history:
            rows = sorted(rows[::-1][done:]) if layout["backwards"] else rows[done:]
        return rows

    def deal(rows, before, after, done):
        rows = rows[::-1]
        for number, row in list(enumerate(rows, 1))[done:]:
            yield (before._replace(batch=number) if number < len(rows) else after), row

    first = at.batch
    for block in range(at.block, len(share.rests)):
        yield from deal(rest_rows(share.rests[block]), Position(block), Position(block + 1), first)
        first = 0
    block, start = max(at.block, len(share.rests)), (at.piece, at.row)
    rows = endless(*start)
    while True:
        found = list(itertools.islice(rows, rows_a_block))
        end = (found[-1][0], found[-1][1][2] + 1)
        before, after = Position(block, 0, *start, *end), Position(block + 1, 0, *end, *end)
        yield from deal([row for _, row in found], before, after, first)
        block, start, first = block + 1, end, 0


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("readers", [1, 2, 4])
def test_each_pass_has_each_shard_once_and_no_reader_is_ahead(shards, readers):
    shares = [Share(shards, 3, number, readers) for number in range(readers)]
    parts = -(-readers // shards)
    pieces = [share.piece(place) for place in range(shards * parts * 2) for share in shares]
    for epoch in range(2):
        found = Counter((piece.shard, piece.part) for piece in pieces if piece.epoch == epoch)
        assert found == Counter(itertools.product(range(shards), range(parts)))
    first_pass = pieces[: shards * parts]
    assert {piece.epoch for piece in first_pass} == {0}, "all readers together come to the end of a pass at once"


def test_the_order_is_another_one_in_each_pass_and_for_each_seed():
    share = Share(50, 3, 0, 1)
    first = [share.piece(place).shard for place in range(50)]
    second = [share.piece(place).shard for place in range(50, 100)]
    assert first != second
    assert first != [Share(50, 4, 0, 1).piece(place).shard for place in range(50)]


@pytest.mark.parametrize("seed", range(12))
def test_readers_dealt_anew_again_and_again_lose_and_repeat_nothing(seed):
    rng = np.random.default_rng(seed)
    shards = int(rng.integers(1, 8))
    readers = new_readers(shards, int(rng.integers(1, 5)), seed)
    seen = Counter()
    for _ in range(4):
        block = int(rng.integers(2, 25))
        streams = [stream(reader, block) for reader in readers]
        for _ in range(int(rng.integers(0, 30))):  # all readers have had as many batches
            for number, rows in enumerate(streams):
                position, row = next(rows)
                readers[number] = Reader(readers[number].share, position)
                seen[row] += 1
        assert max(seen.values(), default=1) == 1
        readers = restored_readers([reader.state() for reader in readers], shards, seed)
        readers = dealt_anew(readers, int(rng.integers(1, 5)), {"backwards": True})
    # to the end of the passes that were begun: their sequence begins anew after them
    end = readers[0].share.first_epoch
    for reader in readers:
        for _, row in stream(reader, 1):
            if row[0] >= end:
                break
            seen[row] += 1
    assert seen == Counter(itertools.product(range(end), range(shards), range(ROWS)))


def test_a_restored_reader_stands_where_it_stood():
    (reader,) = new_readers(3, 1, 0)
    rows = stream(reader, 7)
    for _ in range(17):
        position, _ = next(rows)
    (restored,) = restored_readers([Reader(reader.share, position).state()], 3, 0)
    assert restored == Reader(reader.share, position)
    following = stream(restored, 7)
    assert [next(following)[1] for _ in range(40)] == [next(rows)[1] for _ in range(40)]
