"""The loader of a stream: batches without end, from worker processes or not, that a resume goes on with exactly."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from lightning_nlp.data.batching import Batch, ignore_ctrl_c, lost_workers
from lightning_nlp.data.streaming.blocks import Blocks
from lightning_nlp.data.streaming.shares import Position, Reader, dealt_anew, new_readers, restored_readers
from lightning_nlp.errors import UserError

Collate = Callable[[dict[str, Any], int], Batch]


class Batched(IterableDataset[Any]):
    """What a process or worker yields: the place of its reader among this process's, where it then stands, the batch.

    Args:
        blocks: Make the batches' examples.
        collate: Makes a batch of columns.
        readers: Of this process, one for each worker.
        turn: Which reader's turn it is.
    """

    def __init__(self, blocks: Blocks, collate: Collate, readers: list[Reader], turn: int) -> None:
        self.blocks = blocks
        self.collate = collate
        self.readers = readers
        self.turn = turn

    def __iter__(self) -> Iterator[tuple[int, Position, Batch] | UserError]:
        worker = get_worker_info()
        # the first batch comes from worker 0, whoever's turn it is
        place = (self.turn + (worker.id if worker else 0)) % len(self.readers)
        try:
            for position, block in self.blocks.batches(self.readers[place]):
                yield place, position, self.collate({"input_ids": block.ids, "index": block.keys}, 0)
        except UserError as error:
            yield error  # raised in a worker it would arrive as a traceback


class StreamLoader:
    """Batches of a corpus of shards for one process; the next iteration goes on where the last one ended.

    Its length is the whole training's, so that Lightning knows what a share of it is; shards have no epochs here that
    all processes would end together. Each process has one reader, or one a worker, which take turns.

    Args:
        blocks: Make the batches' examples.
        collate: Makes a batch of columns.
        length: The batches of the whole training, for this process.
        num_workers: Processes that prepare batches.
        pin_memory: Whether to place batches in page-locked memory (for CUDA).
        rank: This process's number.
        world_size: The number of processes.
    """

    def __init__(
        self,
        blocks: Blocks,
        collate: Collate,
        length: int,
        *,
        num_workers: int = 0,
        pin_memory: bool = False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.blocks = blocks
        self.collate = collate
        self.length = length
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.rank = rank
        self.world_size = world_size
        self.handed_out = 0
        self._own = max(num_workers, 1)
        self._take(new_readers(blocks.corpus.shards(), self._own * world_size, blocks.seed))

    def _take(self, readers: list[Reader], turn: int = 0) -> None:
        """Of all readers, this process's."""
        self.readers = readers[self.rank * self._own : (self.rank + 1) * self._own]
        self.turn = turn

    def __len__(self) -> int:
        return self.length

    @property
    def passes(self) -> int:
        """How often this process's readers have come through the corpus, as far as they had to."""
        return min(reader.share.piece(reader.position.piece).epoch for reader in self.readers)

    def __iter__(self) -> Iterator[Batch]:
        loader = DataLoader(
            Batched(self.blocks, self.collate, list(self.readers), self.turn),
            batch_size=None,
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
            generator=torch.Generator(),  # as in `ResumableLoader`
            worker_init_fn=_start_worker,
        )
        items = iter(loader)
        if self.handed_out >= self.length:
            self.handed_out = 0
        while self.handed_out < self.length:
            with lost_workers():
                item = next(items)
            if isinstance(item, UserError):
                raise item
            place, position, batch = item
            self.readers[place] = Reader(self.readers[place].share, Position(*position))
            self.turn = (place + 1) % self._own
            self.handed_out += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Where all readers of all processes stand; each process must ask for it."""
        own = [reader.state() for reader in self.readers]
        gathered: list[Any] = [own]
        if self.world_size > 1:
            gathered = [None] * self.world_size
            torch.distributed.all_gather_object(gathered, own)
        return {
            "handed_out": self.handed_out,
            "turn": self.turn,
            "readers": [state for states in gathered for state in states],
            "layout": self.blocks.layout,
            "shards": self.blocks.corpus.shards(),
            "seed": self.blocks.seed,
            "own": self._own,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`, with the same readers and batches or with others.

        Raises:
            UserError: If the corpus has another number of shards, or another seed shuffles them.
        """
        shards, seed = self.blocks.corpus.shards(), self.blocks.seed
        for name, now, before in (("shards", shards, state["shards"]), ("seed", seed, state["seed"])):
            if now != before:
                raise UserError(
                    f"The training began with {name} {before}, and now it is {now}: a stream goes on only with the "
                    "same --data.path and --data.seed; give those, or begin anew."
                )
        self.handed_out = state["handed_out"]
        readers = restored_readers(state["readers"], shards, seed)
        if state["layout"] == self.blocks.layout and state["own"] == self._own and len(readers) == self._all:
            self._take(readers, state["turn"])
        else:
            self._take(dealt_anew(readers, self._all, state["layout"]))

    @property
    def _all(self) -> int:
        return self._own * self.world_size


def _start_worker(worker: int) -> None:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the workers are as many as the cores already
    ignore_ctrl_c(worker)
