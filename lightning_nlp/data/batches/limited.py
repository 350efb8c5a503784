"""Which examples an evaluation reads that Lightning cuts short."""

from __future__ import annotations

import numpy as np

from lightning_nlp.data.batches.budget import TokenBudget
from lightning_nlp.data.batches.plan import BatchPlan
from lightning_nlp.errors import UserError


def draw(plan: BatchPlan, limit: int | float, argument: str, *, seed: int) -> None:
    """Let an evaluation's first batches hold random examples, where Lightning takes only those.

    In the order of length they would be the longest examples alone. The batches that it leaves out are empty.

    Args:
        plan: The evaluation's; changed in place.
        limit: So many batches, or that share of them.
        argument: The argument of the Trainer that says so.

    Raises:
        UserError: If the share is less than a batch.
    """
    whole, lengths = len(plan), plan.lengths
    most = min(limit, whole) if isinstance(limit, int) else int(limit * whole)
    if limit > 0 and not most:
        raise UserError(f"--trainer.{argument} {limit} of {whole} is no batch: give 1 for one.")
    if most in (0, whole):
        return
    order = np.random.default_rng([seed, 3]).permutation(len(lengths))
    number = len(order) * most // whole
    while True:
        rows = np.sort(order[: max(1, number)])
        budget = plan.budget and TokenBudget(lengths[rows], shuffle=False, **plan.budget.layout)
        part = BatchPlan(lengths[rows], plan.batch_size, shuffle=False, world_size=plan.world_size, budget=budget)
        if len(part) <= most:
            break
        number -= -(-number // 100)  # by tokens, so many may need a batch more
    plan.drawn = [[rows[batch] for batch in step] for step in part.steps()]
    plan.drawn += [[] for _ in range(whole - len(part))]
