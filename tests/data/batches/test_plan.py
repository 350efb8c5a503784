from functools import partial

import numpy as np
import pytest

from lightning_nlp.data.batches.budget import TokenBudget
from lightning_nlp.data.batches.plan import BatchPlan, FixedSize

LENGTHS = np.random.default_rng(0).integers(3, 200, size=1003)


BATCHINGS = {
    "examples": partial(FixedSize, examples=16),
    "packed": partial(TokenBudget, tokens=2000, packed=True, window_batches=0),
    "packed by length": partial(TokenBudget, tokens=2000, packed=True, window_batches=8),
    "padded": partial(TokenBudget, tokens=2000, packed=False, window_batches=50),
}


@pytest.mark.parametrize("name", BATCHINGS)
def test_epochs_differ_and_depend_on_seed_and_epoch_alone(name):
    def training_batches(seed, epoch):
        return BATCHINGS[name](LENGTHS, seed=seed).batches(epoch, np.arange(len(LENGTHS)))

    epochs = [training_batches(1, epoch) for epoch in (0, 1, 2)]
    partners = [{frozenset(batch) for batch in batches} for batches in [*epochs, training_batches(2, 0)]]
    assert all(len(partners[0] & others) < 4 for others in partners[1:]), "the same examples meet again and again"
    assert all((one == again).all() for one, again in zip(epochs[2], training_batches(1, 2), strict=True))


@pytest.mark.parametrize("name", BATCHINGS)
def test_the_largest_comes_first_and_the_rest_in_random_order(name):
    batches = BATCHINGS[name](LENGTHS, seed=1).batches(1, np.arange(len(LENGTHS)))
    padded = -(-LENGTHS // 8) * 8 if name == "padded" else LENGTHS
    sizes = [padded[batch].max() if name == "examples" else (padded[batch] ** 2).sum() for batch in batches]
    assert sizes[0] == max(sizes)
    heads = np.array([LENGTHS[batch].max() for batch in batches[1:]])
    assert abs(np.corrcoef(heads, np.arange(len(heads)))[0, 1]) < 0.3


def test_batches_of_examples_hold_about_as_many_of_similar_lengths():
    batches = FixedSize(LENGTHS, 16).batches(0, np.arange(len(LENGTHS)))
    assert {len(batch) for batch in batches} == {15, 16}
    assert LENGTHS.sum() / sum(LENGTHS[batch].max() * len(batch) for batch in batches) > 0.9


def plans(size, world_size=1, tokens=None):
    """Of all processes, for `size` examples a process and step."""
    made = FixedSize(LENGTHS, size * world_size, world_size=world_size, seed=3)
    if tokens is not None:
        made = TokenBudget(LENGTHS, tokens, packed=True, window_batches=0, world_size=world_size, seed=3)
    return [BatchPlan(made, rank) for rank in range(world_size)]


def test_one_process_and_several_take_the_same_steps():
    (whole,), parts = plans(16), plans(4, 4)
    assert len(whole) == len(parts[0]) > 10
    for expected, *keys in zip(whole, *parts, strict=True):
        assert sorted(row for _, rows in keys for row in rows) == sorted(expected[1])


def test_as_many_examples_a_step_are_the_same_layout():
    (one,), several = plans(8), plans(2, 4)
    for plan in several:
        assert plan.resume(one.position(9)) == 9
    for expected, *keys in zip(list(one)[9:], *several, strict=True):
        assert sorted(row for _, rows in keys for row in rows) == sorted(expected[1])


@pytest.mark.parametrize("tokens", [None, 900])
def test_a_resume_in_the_same_layout_is_exact_also_in_a_rest(tokens):
    first, *_ = plans(3, 1, tokens)
    once, twice = (plans(3, 2, tokens)[1] for _ in range(2))
    start = once.resume(first.position(20))
    assert twice.resume(once.position(start + 5)) == start + 5
    assert list(twice) == list(once)[5:]
