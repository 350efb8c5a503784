from collections import Counter
from itertools import islice

import numpy as np
import pytest

from lightning_nlp.data.streaming import blocks as blocks_module
from lightning_nlp.data.streaming.blocks import Blocks, ahead, block_batches, digest, mask_key
from lightning_nlp.data.streaming.shares import Reader, dealt_anew, new_readers
from lightning_nlp.errors import UserError

ROWS = {"rows": 40}
BY_SIZE = {**ROWS, "batch_size": 8}
BY_TOKENS = {**ROWS, "tokens": 60, "packed": 1, "window_batches": 8}
PADDED = {**ROWS, "tokens": 64, "packed": 0, "window_batches": 50}


class ToyCorpus:
    """Texts "shard row" of different lengths, on three shards of different sizes."""

    def __init__(self, sizes=(70, 130, 33), text="{shard} {row}"):
        self.sizes = sizes
        self.text = text

    def shards(self, split="train"):
        return len(self.sizes)

    def rows(self, split, shard, *, row=0, until=None, part=0, parts=1):
        until = self.sizes[shard] if until is None else min(until, self.sizes[shard])
        for number in range(row, until):
            if number // 10 % parts == part:
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


def toy_blocks(layout, corpus=None, held_out=None, hidden=frozenset(), seed=3):
    return Blocks(
        corpus or ToyCorpus(), toy_tokens, layout=layout, seed=seed, held_out=held_out or {}, hidden=frozenset(hidden)
    )


def name(ids):
    return int(ids[0]), int(ids[1]), len(ids) == 3 and ids[2] == 1


def one_pass(blocks, readers):
    """The names of all examples of pass 0, by batch; readers take turns until all have come to pass 1."""
    found, streams = [], [blocks.batches(reader) for reader in readers]
    expected = sum(1 for _ in all_names())
    while sum(map(len, found)) < expected + 200:
        for stream in streams:
            _, block = next(stream)
            found.append([(name(ids), key) for ids, key in zip(block.ids, block.keys, strict=True)])
    return found


def all_names(sizes=(70, 130, 33)):
    for shard, size in enumerate(sizes):
        for row in range(size):
            yield shard, row, False
            if row % 7 == 0:
                yield shard, row, True


def keys_of_pass(epoch):
    return {mask_key(epoch, shard, row, int(second)): (shard, row, second) for shard, row, second in all_names()}


@pytest.mark.parametrize("layout", [BY_SIZE, BY_TOKENS, PADDED])
@pytest.mark.parametrize("readers", [1, 2, 5])
def test_each_example_comes_once_in_a_pass(layout, readers):
    found = one_pass(toy_blocks(layout), new_readers(3, readers, 3))
    first = keys_of_pass(0)
    counts = Counter(example for batch in found for example, key in batch if key in first)
    if readers > 3:  # shards are shared, so readers end the pass at different times; nothing comes twice
        assert max(counts.values()) == 1
    else:
        assert counts == Counter(all_names())
    assert all(first[key] == example for batch in found for example, key in batch if key in first)


@pytest.mark.parametrize("layout", [BY_TOKENS, PADDED])
def test_no_batch_has_more_tokens_than_it_may(layout):
    for _, block in islice(toy_blocks(layout).batches(new_readers(3, 1, 3)[0]), 60):
        lengths = block.lengths()
        assert (lengths.sum() if layout["packed"] else len(lengths) * (-(-lengths.max() // 8) * 8)) <= layout["tokens"]


@pytest.mark.parametrize("layout", [BY_SIZE, BY_TOKENS])
@pytest.mark.parametrize("stop", [0, 1, 5, 23, 61])
def test_a_reader_goes_on_where_it_stood(layout, stop):
    (reader,) = new_readers(3, 1, 3)
    whole = list(islice(toy_blocks(layout).batches(reader), 100))
    if stop:
        reader = Reader(reader.share, whole[stop - 1][0])
    after = list(islice(toy_blocks(layout).batches(reader), 100 - stop))
    assert [position for position, _ in after] == [position for position, _ in whole[stop:]]
    assert [block.keys for _, block in after] == [block.keys for _, block in whole[stop:]]


@pytest.mark.parametrize("stops", [(7,), (7, 3), (1, 1, 4)])
def test_other_readers_and_other_batches_finish_the_pass(stops):
    readers, layouts = new_readers(3, 2, 3), [BY_SIZE, BY_TOKENS, {**BY_SIZE, "batch_size": 3}, PADDED]
    first, counts = keys_of_pass(0), Counter()
    for number, stop in enumerate(stops):
        blocks = toy_blocks(layouts[number])
        for place, reader in enumerate(readers):
            for position, block in islice(blocks.batches(reader), stop):
                readers[place] = Reader(reader.share, position)
                counts.update(first[key] for key in block.keys)
        readers = dealt_anew(readers, number + 1, layouts[number])
    for reader in readers:
        for _, block in islice(toy_blocks(layouts[len(stops)]).batches(reader), 400):
            counts.update(first[key] for key in block.keys if key in first)
    assert counts == Counter(all_names())


def test_what_is_held_out_is_not_trained_on():
    (reader,) = new_readers(3, 1, 3)
    hidden = digest(toy_tokens(["1 40"])[0][0])
    blocks = toy_blocks(BY_SIZE, held_out={0: 20, 2: 33}, hidden={hidden})
    found = {name(ids) for _, block in islice(blocks.batches(reader), 60) for ids in block.ids}
    assert found == {
        (shard, row, second)
        for shard, row, second in all_names()
        if not (shard == 0 and row < 20) and shard != 2 and (shard, row, second) != (1, 40, False)
    }


def test_each_pass_has_other_masks_and_another_order():
    (reader,) = new_readers(1, 1, 3)
    corpus = ToyCorpus(sizes=(40,))
    blocks = toy_blocks({"rows": 40, "batch_size": 100}, corpus)
    (_, first), (_, second) = islice(blocks.batches(reader), 2)
    names = [list(map(name, block.ids)) for block in (first, second)]
    assert sorted(names[0]) == sorted(names[1])
    assert not set(first.keys) & set(second.keys)
    assert all(0 <= key < 2**63 for key in first.keys)


def test_a_block_ends_early_where_its_texts_are_long(monkeypatch):
    monkeypatch.setattr(blocks_module, "BLOCK_CHARACTERS", 50)
    (reader,) = new_readers(3, 1, 3)
    _, block = next(toy_blocks({"rows": 40, "batch_size": 1000}).batches(reader))
    assert len(block.ids) < 20


def test_a_corpus_without_texts_is_refused():
    (reader,) = new_readers(3, 1, 3)
    for corpus in (ToyCorpus(text="  "), ToyCorpus(sizes=(0, 0, 0))):
        with pytest.raises(UserError, match="gives no text"):
            next(toy_blocks(BY_SIZE, corpus).batches(reader))


def test_block_batches_have_each_example_once():
    lengths = np.random.default_rng(0).integers(1, 60, 500)
    for layout in (BY_SIZE, BY_TOKENS, PADDED):
        batches = block_batches(lengths, layout, 1, 0)
        assert sorted(np.concatenate(batches)) == list(range(500))
        assert [list(batch) for batch in batches] != [list(batch) for batch in block_batches(lengths, layout, 1, 1)]
    assert block_batches(lengths[:0], BY_SIZE, 1, 0) == []


def test_an_error_in_the_thread_is_the_callers():
    def items():
        yield 1
        raise UserError("two")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(UserError, match="two"):
        next(found)
