"""The batches of an evaluation: which examples go together, and which are read if the Trainer limits it."""

import math
from typing import Any

import numpy as np

from lightning_nlp.data.batches.budget import cut, padded_lengths
from lightning_nlp.errors import UserError


def evaluation_batches(
    lengths: np.ndarray, rows: np.ndarray, *, batch_size: int, tokens: int | None, packed: bool, world_size: int
) -> list[np.ndarray]:
    """Batches of similar length, longest first, always the same: `world_size` for each step, some maybe empty.

    Args:
        lengths: (examples,) lengths in tokens.
        rows: The row numbers of those to read, ascending.
        batch_size: The most examples in a batch.
        tokens: Fill batches to this many tokens instead, padding counted unless `packed`.
    """
    counted = lengths if tokens is None else padded_lengths(lengths, packed)
    order = rows[np.argsort(-counted[rows], kind="stable")]
    if tokens is None:
        return np.array_split(order, math.ceil(len(order) / (batch_size * world_size)) * world_size)
    batches = cut(counted, order, tokens, packed=packed)
    return batches + [rows[:0]] * (-len(batches) % world_size)


def limited_batches(
    lengths: np.ndarray, limit: int | float, argument: str, *, seed: int, world_size: int, **shape: Any
) -> list[np.ndarray]:
    """As many `evaluation_batches` as the Trainer's limit leaves, of random examples; those after them are empty.

    Lightning takes the first batches, which would otherwise hold only the longest examples.

    Args:
        limit: How many batches a process reads, or what share of them.
        argument: The Trainer's argument for it.

    Raises:
        UserError: If the share is less than a batch.
    """
    examples, shape = len(lengths), {"world_size": world_size, **shape}
    batches = evaluation_batches(lengths, np.arange(examples), **shape)
    steps = len(batches) // world_size
    most = min(limit, steps) if isinstance(limit, int) else int(limit * steps)
    if limit > 0 and not most:
        raise UserError(f"--trainer.{argument} {limit} of {steps} is no batch: give 1 for one.")
    if most in (0, steps):
        return batches
    order, number = np.random.default_rng([seed, 3]).permutation(examples), examples * most // steps
    while len(part := evaluation_batches(lengths, np.sort(order[: max(1, number)]), **shape)) > most * world_size:
        number -= math.ceil(number / 100)  # batches of tokens: a random part may need one more
    return part + [order[:0]] * (len(batches) - len(part))
