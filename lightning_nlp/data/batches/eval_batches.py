"""The batches of an evaluation: which examples go together, and which are read if the Trainer limits it."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch.utils.data import DataLoader

from lightning_nlp.data.batches.collators import PAD_MULTIPLE
from lightning_nlp.data.batches.loader import Batch, Batches, BatchLoader
from lightning_nlp.errors import UserError


@dataclass
class Evaluation:
    """Validation or test in batches of similar length, longest first, the same in each run.

    Lightning reads the first batches if it is limited, which would hold only the longest examples. So a limited
    evaluation reads random examples, and its other batches are empty.

    Args:
        lengths: (examples,) lengths in tokens.
        split: "validation" or "test".
        trainer: Knows the limit and the processes; None reads all on one.
        batch_size: The most examples in a batch.
        tokens: Fill batches to this many tokens instead, padding counted unless `packed`.
        seed: Draws the examples of a limited evaluation.

    Raises:
        UserError: If the limit is a share of less than one batch.
    """

    lengths: np.ndarray
    split: str
    trainer: Any
    batch_size: int
    tokens: int | None
    packed: bool
    seed: int

    @property
    def argument(self) -> str:
        """The Trainer's argument that may cut it short."""
        if self.split == "test":
            return "limit_test_batches"
        return "overfit_batches" if getattr(self.trainer, "overfit_batches", 0) else "limit_val_batches"

    def __post_init__(self) -> None:
        rows, world_size = np.arange(len(self.lengths)), getattr(self.trainer, "world_size", 1)
        whole, limit = self.batches_of(rows), getattr(self.trainer, self.argument, 1.0)
        steps = len(whole) // world_size
        most = min(limit, steps) if isinstance(limit, int) else int(limit * steps)
        if limit > 0 and not most:
            raise UserError(f"--trainer.{self.argument} {limit} of {steps} is no batch: give 1 for one.")
        self.batches = whole  # of all processes, which take them in turn
        if most not in (0, steps):
            order, number = np.random.default_rng([self.seed, 3]).permutation(rows), len(rows) * most // steps
            while len(part := self.batches_of(np.sort(order[: max(1, number)]))) > most * world_size:
                number -= math.ceil(number / 100)  # batches of tokens: a random part may need one more
            self.batches = part + [order[:0]] * (len(whole) - len(part))

    def batches_of(self, rows: np.ndarray) -> list[np.ndarray]:
        """Batches of some rows, ascending: one for each process in each step, some maybe empty."""
        world_size = getattr(self.trainer, "world_size", 1)
        counted = self.lengths if self.tokens is None else padded_lengths(self.lengths, self.packed)
        order = rows[np.argsort(-counted[rows], kind="stable")]
        if self.tokens is None:
            return np.array_split(order, math.ceil(len(order) / (self.batch_size * world_size)) * world_size)
        batches = cut(counted, order, self.tokens, packed=self.packed)
        return batches + [rows[:0]] * (-len(batches) % world_size)

    @property
    def part(self) -> str | None:
        """How much of the split is read, e.g. "75 of 300 texts"; None if all is."""
        number, whole = sum(map(len, self.batches)), len(self.lengths)
        return None if number >= whole else f"{number:,} of {whole:,} texts"

    def loader(self, batches: Batches, num_workers: int) -> BatchLoader:
        """This process's batches."""
        if self.part is not None:
            argument = "fast_dev_run" if getattr(self.trainer, "fast_dev_run", 0) else self.argument
            rank_zero_info(f"{self.split}: measured on {self.part}, drawn at random (--trainer.{argument}).")
        own = self.batches[getattr(self.trainer, "global_rank", 0) :: getattr(self.trainer, "world_size", 1)]
        return BatchLoader(batches, [(0, rows.tolist()) for rows in own], num_workers=num_workers)


def in_order_loader(batches: Batches, room: int, packed: bool, num_workers: int) -> DataLoader[Batch]:
    """All examples in their order, in batches of at most `room` tokens."""
    lengths = batches.rows.lengths
    keys = [(0, rows.tolist()) for rows in cut(lengths, np.arange(len(lengths)), room, packed=packed)]
    return DataLoader(batches, sampler=keys, batch_size=None, num_workers=num_workers)


def padded_lengths(lengths: np.ndarray, packed: bool) -> np.ndarray:
    """The lengths that count against a budget of tokens."""
    return lengths if packed else -(-lengths // PAD_MULTIPLE) * PAD_MULTIPLE


def cut(lengths: np.ndarray, order: np.ndarray, room: int, *, packed: bool) -> list[np.ndarray]:
    """Cut an order of row numbers into batches of as many as fit.

    Args:
        lengths: (examples,) lengths in tokens, with their padding.
        room: The most tokens in a batch; only a single example may exceed it, by its padding.
        packed: Whether a batch takes the sum of its lengths, or its rows times the longest.
    """
    if not len(order):
        return []
    bounds, start, total, longest = [], 0, 0, 0
    for place, length in enumerate(lengths[order].tolist()):
        total, longest = total + length, max(longest, length)
        if place > start and (total if packed else (place - start + 1) * longest) > room:
            bounds.append(place)
            start, total, longest = place, length, length
    return np.split(order, bounds)
