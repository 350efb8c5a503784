import numpy as np
import pytest

from lightning_nlp.data.batches.budget import TokenBudget
from lightning_nlp.data.batches.limited import draw
from lightning_nlp.data.batches.plan import BatchPlan
from lightning_nlp.errors import UserError

LENGTHS = np.random.default_rng(0).integers(3, 200, size=1003)


@pytest.mark.parametrize("tokens", [None, 500])
@pytest.mark.parametrize("limit", [7, 0.25])
def test_a_limited_evaluation_is_a_fair_part_whatever_the_processes(limit, tokens):
    """Lightning takes the first batches of those that come longest first."""

    def drawn(world, size, seed=1):
        budget = None
        if tokens is not None:
            choice = {"packed": False, "shuffle": False, "window_batches": 50, "multiple_of": world}
            budget = TokenBudget(LENGTHS, tokens, **choice)
        plans = [
            BatchPlan(LENGTHS, size, shuffle=False, rank=rank, world_size=world, budget=budget) for rank in range(world)
        ]
        for plan in plans:
            draw(plan, limit, "limit_test_batches", seed=seed)
        taken = limit if isinstance(limit, int) else int(limit * len(plans[0]))
        batches = [numbers for plan in plans for _, numbers in list(plan)[:taken]]
        assert sum(map(len, batches)) == plans[0].examples, "none is left for a batch that is not taken"
        assert {len(list(plan)) for plan in plans} == {len(plans[0])}, "Lightning's share is of all batches"
        assert abs(plans[0].examples / len(LENGTHS) - taken / len(plans[0])) < 0.03
        return [number for batch in batches for number in batch]

    rows = drawn(1, 32)
    assert len(set(rows)) == len(rows)
    assert abs(LENGTHS[rows].mean() - LENGTHS.mean()) < 10  # the longest 7 batches have 150 on average
    assert sorted(rows) == sorted(drawn(1, 32)) != sorted(drawn(1, 32, seed=2))
    if tokens is None:
        assert sorted(rows) == sorted(drawn(2, 16))


@pytest.mark.parametrize("limit", [1.0, 0, 99])
def test_a_limit_that_leaves_all_or_nothing_leaves_the_plan_as_it_is(limit):
    plan = BatchPlan(LENGTHS, 32, shuffle=False)
    draw(plan, limit, "limit_val_batches", seed=1)
    assert plan.examples == len(LENGTHS)


def test_a_share_of_less_than_a_batch_is_an_error():
    with pytest.raises(UserError, match=r"limit_val_batches 0.01 of 32 is no batch: give 1"):
        draw(BatchPlan(LENGTHS, 32, shuffle=False), 0.01, "limit_val_batches", seed=1)
