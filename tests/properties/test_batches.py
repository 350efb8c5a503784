"""Whatever the lengths are: each example once, no budget broken, and masks where they belong."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_nlp.data.batches.budget import TokenBudget
from lightning_nlp.data.batches.collators import collate_classification
from lightning_nlp.data.batches.eval_batches import Evaluation
from lightning_nlp.data.batches.loader import Batches, ResumableLoader
from lightning_nlp.data.batches.masking import collate_mlm
from lightning_nlp.data.batches.plan import BatchPlan, FixedSize
from lightning_nlp.evaluation import IGNORE_INDEX
from tests.properties.strategies import lengths

SPECIALS = torch.arange(5)
MASK, WORDS = 4, 60


def plans(sizes: np.ndarray, tokens: int | None, packed: bool, seed: int, world_size: int, accumulate: int = 1):
    """Of all processes."""
    shared = {"world_size": world_size, "accumulate": accumulate}
    if tokens is None:
        made = FixedSize(sizes, 3 * world_size, seed=seed, **shared)
    else:
        window = 2 if not packed else seed % 3
        made = TokenBudget(sizes, tokens, packed=packed, window_batches=window, seed=seed, **shared)
    return [BatchPlan(made, rank) for rank in range(world_size)]


def within_bounds(batches: list, sizes: np.ndarray, tokens: int | None, packed: bool) -> bool:
    """Whether each example is in exactly one batch, and no batch of several exceeds its size."""
    padded = sizes if packed else -(-sizes // 8) * 8
    several = [rows for rows in batches if len(rows) > 1]
    counted = [padded[rows].sum() if packed else len(rows) * padded[rows].max() for rows in several]
    fits = max(map(len, batches)) <= 3 if tokens is None else max(counted, default=0) <= tokens
    return fits and sorted(row for rows in batches for row in rows) == list(range(len(sizes)))


budgets = st.none() | st.integers(40, 90)


@given(lengths, budgets, st.booleans(), st.integers(0, 99), st.integers(1, 4))
def test_each_example_once_in_as_many_batches_for_each_process_and_epoch(sizes, tokens, packed, seed, world):
    sizes = np.array(sizes)
    ranks = plans(sizes, tokens, packed, seed, world)
    numbers = {len(plan) for plan in ranks}
    for epoch in range(3):
        batches = []
        for plan in ranks:
            plan.set_epoch(epoch)
            keys = list(plan)
            numbers.add(len(keys))
            assert {key[0] for key in keys} == {epoch}
            batches += [rows for _, rows in keys]
        assert within_bounds(batches, sizes, tokens, packed)
    assert len(numbers) == 1
    batches = Evaluation(sizes, "test", SimpleNamespace(world_size=world), 3, tokens, packed, seed).batches
    assert len(batches) % world == 0
    assert within_bounds([rows.tolist() for rows in batches], sizes, tokens, packed)


layouts = st.tuples(budgets, st.booleans(), st.just(5), st.integers(1, 3), st.integers(1, 3))
parts = st.lists(st.tuples(layouts, st.integers(0, 5)), min_size=1, max_size=4)


@given(st.lists(st.integers(1, 40), min_size=40, max_size=60), parts, layouts, st.integers(0, 3))
def test_each_example_once_in_an_epoch_that_had_several_layouts(sizes, earlier, last, epoch):
    position, seen = None, []
    for layout, taken in [*earlier, (last, 10**6)]:
        ranks = plans(np.array(sizes), *layout)
        for plan in ranks:
            plan.set_epoch(epoch)
            if position is not None:
                plan.resume(position)
        keys = [list(plan) for plan in ranks]
        assert {len(own) for own in keys} == {len(ranks[0]) - ranks[0].start}
        new = position is not None and position["layouts"][-1][0] != ranks[0].batching.layout
        assert not (new and keys[0] and ranks[0].start % layout[-1]), "an optimizer step would begin in the middle"
        seen += [row for own in keys for _, rows in own[:taken] for row in rows]
        position = ranks[0].position(ranks[0].start + len(keys[0][:taken]))
    assert sorted(seen) == list(range(len(sizes)))
    ranks[0].set_epoch(epoch + 1)
    assert len(list(ranks[0])) == len(ranks[0]), "the next is whole again"


class Rows:
    """Stands for a table of token ids."""

    def __getitem__(self, numbers):
        return {"row": list(numbers)}


def row_numbers(columns, epoch):
    return {"index": columns["index"], "labels": torch.zeros(1)}


@given(lengths, budgets, st.integers(0, 99), st.integers(0, 3), st.data())
def test_a_loader_that_goes_on_in_the_middle_gives_the_rest(sizes, tokens, seed, epoch, data):
    def loader() -> ResumableLoader:
        return ResumableLoader(Batches(Rows(), row_numbers), plans(np.array(sizes), tokens, True, seed, 1)[0])

    first = loader()
    first.sampler.set_epoch(epoch)
    whole = [batch["index"] for batch in first]
    stop = data.draw(st.integers(0, len(whole)))
    iterator, interrupted = None, loader()
    interrupted.sampler.set_epoch(epoch)
    iterator = iter(interrupted)
    before = [next(iterator)["index"] for _ in range(stop)]
    second = loader()
    second.load_state_dict(interrupted.state_dict())
    assert before + [batch["index"] for batch in second] == whole


sequences = st.lists(st.lists(st.integers(0, WORDS - 1), min_size=1, max_size=20), min_size=1, max_size=8)
shares = st.floats(0, 1)


@given(sequences, st.integers(0, 2**32 - 1), st.integers(0, 1000), shares, shares, shares, st.integers(0, 2**31))
def test_masks_are_where_labels_are_and_packed_is_padded(tokens, seed, epoch, share, masks, randoms, start):
    tokens = [np.array(sequence) for sequence in tokens]
    index = list(range(start, start + len(tokens)))
    collate = partial(
        collate_mlm,
        {"input_ids": tokens, "index": index},
        epoch,
        pad_token_id=0,
        max_length=20,
        seed=seed,
        special_ids=SPECIALS,
        word_ids=torch.arange(5, WORDS),
        mask_token_id=MASK,
        mlm_probability=share,
        mask_token_prob=masks,
        random_token_prob=min(randoms, 1 - masks),
    )
    padded, packed = collate(packed=False), collate(packed=True)
    width = padded["input_ids"].shape[1]
    assert padded["labels"].shape == padded["attention_mask"].shape == (len(tokens), width)
    assert max(map(len, tokens)) <= width <= 20
    bounds = packed["cu_seqlens"].tolist()
    order = np.argsort([-len(sequence) for sequence in tokens], kind="stable").tolist()
    for place, row in enumerate(order):
        sequence, size = torch.from_numpy(tokens[row]), len(tokens[row])
        ids, labels = padded["input_ids"][row], padded["labels"][row]
        assert padded["attention_mask"][row].tolist() == [1] * size + [0] * (width - size)
        assert not ids[size:].any()
        assert (labels[size:] == IGNORE_INDEX).all()
        chosen = labels[:size] != IGNORE_INDEX
        assert torch.equal(labels[:size][chosen], sequence[chosen])
        assert torch.equal(ids[:size][~chosen], sequence[~chosen])
        assert not (chosen & (sequence < 5)).any(), "special tokens are never masked"
        assert ((ids[:size] == MASK) | (ids[:size] >= 5))[chosen].all()
        part = slice(bounds[place], bounds[place + 1])
        assert torch.equal(packed["input_ids"][0, part], ids[:size])
        assert torch.equal(packed["labels"][0, part], labels[:size])
        assert packed["position_ids"][0, part].tolist() == list(range(size))
    for batch in (padded, packed):
        assert batch["masked"].tolist() == (batch["labels"].flatten() != IGNORE_INDEX).nonzero().flatten().tolist()


@given(sequences)
def test_classification_batches_hold_the_same_packed_and_padded(tokens):
    tokens = [np.array(sequence) for sequence in tokens]
    collate = partial(
        collate_classification,
        {"input_ids": tokens, "label": list(range(len(tokens))), "index": list(range(7, 7 + len(tokens)))},
        0,
        pad_token_id=0,
        max_length=20,
    )
    padded, packed = collate(packed=False), collate(packed=True)
    bounds = packed["cu_seqlens"].tolist()
    for place, row in enumerate(packed["labels"].tolist()):
        assert packed["input_ids"][0, bounds[place] : bounds[place + 1]].tolist() == tokens[row].tolist()
        real = padded["attention_mask"][row].bool()
        assert padded["input_ids"][row][real].tolist() == tokens[row].tolist()
    assert padded["labels"].tolist() == list(range(len(tokens)))
    for batch in (padded, packed):
        assert torch.equal(batch["rows"], batch["labels"] + 7)
