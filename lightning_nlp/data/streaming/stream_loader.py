"""The loader of a stream: endless batches, with or without worker processes, that resume exactly."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from lightning_nlp.data.batches.loader import Batch, ignore_ctrl_c
from lightning_nlp.data.streaming.blocks import Blocks, Piece, ReaderPosition, Turns
from lightning_nlp.errors import UserError


@dataclass(eq=False)
class _Readers(IterableDataset[Any]):
    """This process's readers, one per worker."""

    blocks: Blocks
    turns: Turns
    positions: list[ReaderPosition]

    def __iter__(self) -> Iterator[tuple[ReaderPosition, Batch] | UserError]:
        worker = get_worker_info()
        try:
            yield from self.blocks.batches(self.turns, self.positions[worker.id if worker else 0])
        except UserError as error:
            yield error  # raised in a worker, it would reach the user as a traceback


@dataclass(eq=False)
class StreamLoader:
    """Endless batches of a corpus for one process; each iteration continues where the last one ended.

    A process has one reader, or one per worker; workers take turns.
    """

    blocks: Blocks
    length: int  # of the whole training, for limits given as fractions
    num_workers: int = 0
    pin_memory: bool = False
    rank: int = 0
    world_size: int = 1
    turns: Turns = field(init=False)
    positions: list[ReaderPosition] = field(init=False)  # of this process's readers, the next one first

    def __post_init__(self) -> None:
        turns = Turns(self.blocks.corpus.shards(), self.blocks.seed, max(self.num_workers, 1) * self.world_size)
        self._start_at(turns, turns.beginning())

    def _start_at(self, turns: Turns, positions: list[ReaderPosition]) -> None:
        own = max(self.num_workers, 1)
        self.turns, self.positions = turns, positions[self.rank * own : (self.rank + 1) * own]

    def __len__(self) -> int:
        return self.length

    @property
    def passes(self) -> int:
        """How often this process's readers have read the corpus."""
        return min(self.turns.piece(position.turn).epoch for position in self.positions)

    def __iter__(self) -> Iterator[Batch]:
        loader = DataLoader(
            _Readers(self.blocks, self.turns, self.positions),
            batch_size=None,
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
            generator=torch.Generator(),  # leaves torch's random state alone
            worker_init_fn=_start_worker,
        )
        for item in loader:
            if isinstance(item, UserError):
                raise item
            position, batch = item
            self.positions = [*self.positions[1:], ReaderPosition(*position)]  # workers take turns
            yield batch

    @property
    def _layout(self) -> dict[str, Any]:
        return {**self.blocks.layout, "processes": self.world_size, "workers": max(self.num_workers, 1)}

    def state_dict(self) -> dict[str, Any]:
        """The positions of all readers; each process must call this."""
        gathered: list[Any] = [[list(position) for position in self.positions]] * self.world_size
        if self.world_size > 1:
            torch.distributed.all_gather_object(gathered, gathered[0])
        return {
            "layout": self._layout,
            "shards": self.turns.shards,
            "seed": self.turns.seed,
            "queue": [list(piece) for piece in self.turns.queue],
            "positions": [position for positions in gathered for position in positions],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict`; with other processes, workers or batches, each reader starts at its next block.

        Raises:
            UserError: If the number of shards or the seed has changed.
        """
        shards, seed = self.turns.shards, self.turns.seed
        if (shards, seed) != (state["shards"], state["seed"]):
            raise UserError(
                f"The training began with {state['shards']} shards and seed {state['seed']}, and now there are "
                f"{shards} and seed {seed}: give the same --data.path and --data.seed, or begin a new run."
            )
        positions = [ReaderPosition(*position) for position in state["positions"]]
        turns = Turns(shards, seed, len(positions), tuple(Piece(*piece) for piece in state["queue"]))
        if state["layout"] != self._layout:
            begun = [position.left for position in positions if position.left]
            rank_zero_info(
                "The number of processes or workers, or the size of batches, has changed, so each reader continues at "
                f"its next block of texts: {sum(begun):,} examples left in {len(begun)} begun "
                f"block{'' if len(begun) == 1 else 's'} are skipped in this pass over the corpus; none is read twice."
            )
            turns = turns.shared_among(self.turns.readers, positions)
            positions = turns.beginning()
        self._start_at(turns, positions)


def _start_worker(worker: int) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the workers keep the cores busy
    ignore_ctrl_c(worker)
