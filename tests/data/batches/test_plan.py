from itertools import islice

import numpy as np
import pytest

from lightning_nlp.data.batches.budget import TokenBudget
from lightning_nlp.data.batches.plan import BatchPlan, FixedSize
from lightning_nlp.errors import UserError

LENGTHS = np.random.default_rng(0).integers(3, 200, size=1003)


def padding_efficiency(batches):
    return sum(LENGTHS[b].sum() for b in batches) / sum(LENGTHS[b].max() * len(b) for b in batches)


def training_batches(seed, epoch):
    return FixedSize(LENGTHS, 16, seed=seed).batches(epoch, np.arange(len(LENGTHS)))


def test_each_example_once_an_epoch_and_each_epoch_differently():
    epochs = [training_batches(1, epoch) for epoch in range(3)]
    for batches in epochs:
        assert sorted(np.concatenate(batches)) == list(range(len(LENGTHS)))
        assert {len(batch) for batch in batches} <= {15, 16}
    assert len({tuple(np.concatenate(batches)) for batches in epochs}) == 3
    partners = [{frozenset(batch) for batch in batches} for batches in epochs]
    assert len(partners[0] & partners[1]) < 3, "the same examples meet again and again"


def test_the_order_depends_on_seed_and_epoch_alone():
    first, again = (training_batches(1, 2) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    other = training_batches(2, 2)
    assert any((a != b).any() for a, b in zip(first, other, strict=True) if len(a) == len(b))


def test_batches_hold_similar_lengths_and_the_longest_comes_first():
    batches = training_batches(1, 0)
    assert padding_efficiency(batches) > 0.9
    assert padding_efficiency(np.array_split(np.random.default_rng(0).permutation(len(LENGTHS)), len(batches))) < 0.6
    assert LENGTHS[batches[0]].max() == LENGTHS.max()
    heads = [LENGTHS[batch].max() for batch in batches[1:]]
    assert heads != sorted(heads, reverse=True), "training batches must not come sorted"


def plans(size, world_size=1, seed=3):
    """Of all processes, for `size` examples a process and step."""
    made = FixedSize(LENGTHS, size * world_size, world_size=world_size, seed=seed)
    return [BatchPlan(made, rank) for rank in range(world_size)]


def test_one_process_and_several_take_the_same_steps():
    (whole,), parts = plans(16), plans(4, 4)
    assert len(whole) == len(parts[0]) > 10
    for expected, *keys in zip(whole, *parts, strict=True):
        assert sorted(row for _, rows in keys for row in rows) == sorted(expected[1])


def layouts(lengths, world_size, accumulate=1, tokens=None, packed=True, size=3):
    """The plans of all processes."""
    shared = {"world_size": world_size, "accumulate": accumulate, "seed": 3}
    if tokens is None:
        made = FixedSize(lengths, size * world_size, **shared)
    else:
        made = TokenBudget(lengths, tokens, packed=packed, window_batches=0 if packed else 50, **shared)
    return [BatchPlan(made, rank) for rank in range(world_size)]


def hand_out(plans, number):
    """Each process takes so many more batches; the rows of all, and the position of the first, as it is saved."""
    number = min(number, len(plans[0]) - plans[0].start)
    rows = [row for plan in plans for _, key in islice(plan, number) for row in key]
    return rows, plans[0].position(plans[0].start + number)


OTHERS = {
    "2 processes": {"world_size": 2},
    "4 processes": {"world_size": 4},
    "larger batches": {"world_size": 1, "size": 7},
    "accumulated": {"world_size": 2, "accumulate": 4},
    "tokens": {"world_size": 2, "tokens": 900},
    "tokens, padded, accumulated": {"world_size": 3, "tokens": 900, "packed": False, "accumulate": 3},
}


@pytest.mark.parametrize("first", OTHERS)
@pytest.mark.parametrize("second", OTHERS)
def test_going_on_in_another_layout_sees_the_rest_of_the_epoch_once(first, second):
    lengths = LENGTHS[:200]
    seen = []
    position = None
    for options, number in ((OTHERS[first], 4), ({"world_size": 1}, 12), (OTHERS[second], 10**6)):
        plans = layouts(lengths, **options)
        for plan in plans:
            plan.set_epoch(5)
            if position is not None:
                start = plan.resume(position)
                assert start == plan.start
                assert start % options.get("accumulate", 1) == 0
        rows, position = hand_out(plans, number)
        seen += rows
    assert sorted(seen) == list(range(200))
    assert {plan.start + len(list(plan)) for plan in plans} == {len(plans[0])}
    for plan in plans:
        plan.set_epoch(6)  # whole again
    assert sorted(hand_out(plans, 10**6)[0]) == list(range(200))
    assert plans[0].position(3)["layouts"] == [(plans[0].batching.layout, 3)]


@pytest.mark.parametrize("tokens", [None, 900])
def test_the_same_layout_goes_on_with_the_same_batches(tokens):
    whole, later = (layouts(LENGTHS, 2, tokens=tokens)[1] for _ in range(2))
    assert later.resume(whole.position(7)) == 7
    assert list(later) == list(whole)[7:]


def test_as_many_examples_a_step_are_the_same_layout():
    (one,), several = plans(8), plans(2, 4)
    for plan in several:
        assert plan.resume(one.position(9)) == 9
    for expected, *keys in zip(list(one)[9:], *several, strict=True):
        assert sorted(row for _, rows in keys for row in rows) == sorted(expected[1])


@pytest.mark.parametrize("tokens", [None, 900])
def test_a_second_resume_in_the_same_new_layout_is_exact(tokens):
    first, *_ = layouts(LENGTHS, 1, tokens=tokens)
    once, twice = (layouts(LENGTHS, 2, tokens=tokens)[0] for _ in range(2))
    start = once.resume(first.position(20))
    assert twice.resume(once.position(start + 5)) == start + 5
    assert list(twice) == list(once)[5:]


@pytest.mark.parametrize("tokens", [None, 900])
def test_an_epoch_that_was_done_is_done_in_any_layout(tokens):
    first, *_ = layouts(LENGTHS, 1, tokens=tokens)
    position = first.position(len(first))
    for options in ({"world_size": 2, "accumulate": 4}, {"world_size": 1, "tokens": 1000}, {"world_size": 3}):
        other, *_ = layouts(LENGTHS, **options)
        assert other.resume(position) == len(other)
        assert list(other) == []
        position = other.position(len(other))


def test_a_position_of_an_earlier_version_is_refused():
    with pytest.raises(UserError, match=r"of an earlier version.*begin a new run"):
        plans(8)[0].resume({"epoch": 1, "handed_out": 3, "layout": {"examples": 8}})
