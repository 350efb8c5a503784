import numpy as np
import pytest

from lightning_nlp.data.batches.budget import TokenBudget
from lightning_nlp.data.batches.plan import BatchPlan, FixedSize

LENGTHS = np.random.default_rng(0).integers(3, 200, size=1003)


def padding_efficiency(batches):
    return sum(LENGTHS[b].sum() for b in batches) / sum(LENGTHS[b].max() * len(b) for b in batches)


def training_batches(seed, epoch):
    return FixedSize(LENGTHS, 16, seed=seed).batches(epoch, np.arange(len(LENGTHS)))


def test_epochs_differ_and_depend_on_seed_and_epoch_alone():
    epochs = [training_batches(1, epoch) for epoch in (0, 1, 2)]
    assert {len(batch) for batches in epochs for batch in batches} == {15, 16}
    partners = [{frozenset(batch) for batch in batches} for batches in [*epochs, training_batches(2, 0)]]
    assert all(len(partners[0] & others) < 3 for others in partners[1:]), "the same examples meet again and again"
    assert all((one == again).all() for one, again in zip(epochs[2], training_batches(1, 2), strict=True))


def test_batches_hold_similar_lengths_and_the_longest_comes_first():
    batches = training_batches(1, 0)
    assert padding_efficiency(batches) > 0.9
    assert padding_efficiency(np.array_split(np.random.default_rng(0).permutation(len(LENGTHS)), len(batches))) < 0.6
    assert LENGTHS[batches[0]].max() == LENGTHS.max()
    heads = [LENGTHS[batch].max() for batch in batches[1:]]
    assert heads != sorted(heads, reverse=True), "training batches must not come sorted"


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
