import random
from itertools import pairwise

import numpy as np
import pytest

from lightning_nlp.data.batches.budget import TokenBudget, best_fit
from lightning_nlp.data.batches.collators import collate
from lightning_nlp.data.batches.eval_batches import cut

draw = np.random.default_rng(0)
SENTENCES = draw.gamma(2.2, 20 / 2.2, size=30_000).round().clip(4, 120).astype(np.int32)
REVIEWS = np.exp(draw.normal(5.45, 0.6, size=22_500)).round().clip(30, 512).astype(np.int32)
FEW = REVIEWS[:150]


def make(lengths, tokens, *, packed=True, window_batches=8, **settings):
    return TokenBudget(lengths, tokens, packed=packed, window_batches=window_batches, **settings)


def epoch_of(plan, epoch):
    return plan.batches(epoch, np.arange(len(plan.lengths)))


def tokens_of(batch, lengths, packed):
    """Tokens in a batch, by the collators themselves where it is padded."""
    if packed:
        return lengths[batch].sum()
    sequences = [np.zeros(length) for length in lengths[batch]]
    return collate(sequences, packed=False, max_length=512)["input_ids"].numel()


@pytest.mark.parametrize(
    ("lengths", "tokens", "packed", "window_batches", "efficiency"),
    [
        (SENTENCES, 2048, True, 8, 0.99),
        (SENTENCES, 2048, True, 0, 0.99),
        (REVIEWS, 4096, True, 0, 0.97),
        (REVIEWS, 4096, True, 8, 0.97),
        (REVIEWS, 512, True, 0, 0.95),
        (SENTENCES, 2048, False, 50, 0.82),  # 0.84 at most: rows of 20 tokens are padded to a multiple of 8
        (REVIEWS, 4096, False, 50, 0.93),
        (FEW, 4096, False, 50, 0.8),
        (FEW, 4096, True, 0, 0.9),
    ],
)
@pytest.mark.parametrize("processes", [1, 4])
def test_full_batches_and_the_same_number_in_each_epoch(lengths, tokens, packed, window_batches, efficiency, processes):
    plan = make(lengths, tokens, packed=packed, window_batches=window_batches, world_size=processes, seed=3)
    for epoch in range(3):
        batches = epoch_of(plan, epoch)
        assert len(batches) == plan.steps * processes
        assert np.array_equal(np.sort(np.concatenate(batches)), np.arange(len(lengths)))
        assert min(map(len, batches)) > 0
        assert max(tokens_of(batch, lengths, packed) for batch in batches) <= tokens
        assert min(lengths[batch].sum() for batch in batches) > 0.15 * tokens, "a step on a crumb"
    if len(lengths) > 1000 or processes == 1:  # with few examples rounding up to the processes costs more
        assert lengths.sum() / (plan.steps * processes * tokens) > efficiency


@pytest.mark.parametrize("packed", [True, False])
def test_one_example_as_long_as_a_batch_that_is_no_multiple_of_eight(packed):
    plan = make(np.array([500, 500, 3]), 500, packed=packed)
    assert sorted(map(len, epoch_of(plan, 0))) == [1, 1, 1]


def test_best_fit_against_a_plain_search():
    lengths = np.random.default_rng(5).integers(3, 60, size=400)
    order = np.random.default_rng(6).permutation(400)
    rooms, expected = [], []
    for row in order:
        fitting = [i for i, room in enumerate(rooms) if room >= lengths[row]]
        if not fitting:
            rooms.append(100)
            expected.append([])
            fitting = [len(rooms) - 1]
        best = min(fitting, key=lambda i: rooms[i])
        rooms[best] -= lengths[row]
        expected[best].append(row)
    assert [batch.tolist() for batch in best_fit(lengths, order, 100)] == expected


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("budget", [1, 12, 40, 1000])
def test_a_cut_fills_each_batch_as_far_as_it_can(budget, padded):
    lengths = random.Random(0).choices(range(1, 30), k=50)
    order = sorted(range(50), key=lambda i: -lengths[i])
    batches = [batch.tolist() for batch in cut(np.array(lengths), np.array(order), budget, packed=not padded)]
    assert [row for batch in batches for row in batch] == order

    def size(batch):
        return len(batch) * lengths[batch[0]] if padded else sum(lengths[row] for row in batch)

    assert all(len(batch) == 1 or size(batch) <= budget for batch in batches)
    # none could have been larger: the next row would not have fitted
    assert all(size([*batch, following[0]]) > budget for batch, following in pairwise(batches))
    assert cut(np.array([]), np.array([]), budget, packed=not padded) == []
