"""What the DataModules of both tasks share: the cache of token ids, opened and dealt out in batches."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from lightning import LightningDataModule
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.data.batching import Batch, Batches, ResumableLoader
from lightning_nlp.data.budget import TokenBudget
from lightning_nlp.data.files import SPLITS
from lightning_nlp.data.plan import WINDOW_BATCHES, BatchPlan
from lightning_nlp.data.preparation import Truncation, prepare_tokens, read_facts
from lightning_nlp.data.sources import Source
from lightning_nlp.data.tokenizer import load_tokenizer
from lightning_nlp.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MOST = 2**32 - 1  # the most of any whole number: what the tokenizer and the generators of random numbers take
WORKERS_PER_CORE = 8  # more than that wait for each other


class TokenRows:
    """A split's token ids and labels, read where they lie in a memory-mapped Arrow file.

    A batch costs a small part of what it costs through `datasets`. Pickled, it is a path.

    Args:
        path: An Arrow stream with lists `input_ids`, and `label` where there are labels.
    """

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self.path = path
        table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
        lists = table.column("input_ids").chunks
        self._chunks = [(chunk.offsets.to_numpy(), chunk.values.to_numpy()) for chunk in lists]  # no copies
        self._starts = np.cumsum([0, *map(len, lists)])
        self._labels = table.column("label").to_numpy() if "label" in table.column_names else None
        self.lengths = np.concatenate([np.diff(offsets) for offsets, _ in self._chunks])

    def __reduce__(self) -> tuple[type[TokenRows], tuple[Path]]:
        return TokenRows, (self.path,)

    def __getitem__(self, numbers: Sequence[int]) -> dict[str, Any]:
        """The columns of some rows: `input_ids`, an array each, and `label` where there are labels."""
        chunks = np.searchsorted(self._starts, numbers, side="right") - 1
        columns: dict[str, Any] = {"input_ids": []}
        for chunk, place in zip(chunks.tolist(), (numbers - self._starts[chunks]).tolist(), strict=True):
            offsets, values = self._chunks[chunk]
            columns["input_ids"].append(values[offsets[place] : offsets[place + 1]])
        if self._labels is not None:
            columns["label"] = self._labels[numbers]
        return columns

    def id_counts(self, size: int) -> np.ndarray:
        """How often each of the ids below `size` stands in the split, special tokens included."""
        counts = np.zeros(size, dtype=np.int64)
        for _, values in self._chunks:
            counts += np.bincount(values, minlength=size)
        return counts

    def digests(self) -> Iterator[bytes]:
        """A short hash of each row's token ids, to find equal rows by."""
        for offsets, values in self._chunks:
            content, ends = memoryview(values.tobytes()), (offsets * values.itemsize).tolist()
            for start, end in pairwise(ends):
                yield hashlib.blake2b(content[start:end], digest_size=16).digest()


class TextDataModule(LightningDataModule):
    """Token ids in batches, from any source of texts; the two tasks' modules say which source and how to collate.

    Public attributes after `setup`, which the models read: `tokenizer`, `max_length`, `train_batches` (an epoch's
    batches for this process), `packing` (what the user wants; a model answers with its own `packs`), `facts` (counts
    and names), `chars_per_token` by split.
    """

    tokenizer: PreTrainedTokenizerFast
    facts: dict[str, Any]
    # Packed batches filled to a number of tokens: examples for so many are sorted by length among themselves. With 0
    # all hold about as many examples, and each example weighs the same.
    packed_window_batches = 0

    def __init__(
        self,
        *,
        tokenizer_name: str | None,
        max_length: int,
        batch_size: int,
        eval_batch_size: int | None,
        tokens_per_batch: int | None,
        packing: bool | Literal["auto"],
        num_workers: int,
        seed: int | None,
        split_seed: int,
        cache_dir: str,
        cleaning: dict[str, Any],
        training: dict[str, Any],
        truncation: Truncation | None,
        max_tokens: int | None = None,
    ) -> None:
        super().__init__()
        if eval_batch_size is None:
            eval_batch_size = min(2 * batch_size, MOST)  # no gradients: twice the room
        seed = split_seed if seed is None else seed
        for name, value, least, most in (
            ("max_length", max_length, 3, MOST),
            ("batch_size", batch_size, 1, MOST),
            ("eval_batch_size", eval_batch_size, 1, MOST),
            ("num_workers", num_workers, 0, WORKERS_PER_CORE * (os.cpu_count() or 1)),
            ("vocab_size", training["vocab_size"], 1, MOST),
            ("min_frequency", training["min_frequency"], 0, MOST),
            ("limit_alphabet", training.get("limit_alphabet", 1), 1, MOST),
            ("split_seed", split_seed, 0, MOST),
            ("seed", seed, 0, MOST),
        ):
            if value < least:
                raise UserError(f"--data.{name} must be at least {least}, not {value}.")
            if value > most:
                raise UserError(f"--data.{name} must be at most {most}, not {value}.")
        if tokens_per_batch is not None and tokens_per_batch < max_length:
            raise UserError(
                f"A text may have {max_length} tokens and a batch only {tokens_per_batch}: raise "
                "--data.tokens_per_batch or lower --data.max_length."
            )
        self.max_length = max_length
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.tokens_per_batch = tokens_per_batch
        self.max_tokens = max_tokens
        self.packing = packing
        self.num_workers = num_workers
        self.seed = seed
        self.split_seed = split_seed
        self.cache_dir = Path(cache_dir).expanduser()
        self.tokenizer_name = tokenizer_name
        self._cleaning = {**cleaning, "seed": split_seed}
        self._training = training
        self._truncation = truncation
        self._folder: Path | None = None
        self._rows: dict[str, TokenRows] = {}
        self._budgets: dict[tuple[str, bool, int], TokenBudget] = {}

    def source(self) -> Source:
        """Where the texts come from."""
        raise NotImplementedError

    def collate_function(self, seed: int) -> Callable[[dict[str, Any], int], Batch]:
        """Makes a batch of (columns, epoch), with `seed` for what is drawn."""
        raise NotImplementedError

    def given_tokenizer(self) -> PreTrainedTokenizerFast | None:
        """The tokenizer that `tokenizer_name` names; None trains one."""
        return None if self.tokenizer_name is None else load_tokenizer(self.tokenizer_name)

    def prepare_data(self) -> None:
        """Download, clean, train the tokenizer and tokenize; on one process, and only what the cache does not hold."""
        if self._folder is not None:  # the test at the end of a fit is of the very data that the fit saw
            return
        self._folder = prepare_tokens(
            self.source(),
            self.cache_dir,
            cleaning=self._cleaning,
            tokenizer=self.given_tokenizer(),
            training=self._training,
            max_length=self.max_length,
            truncation=self._truncation,
        )
        for line in self._read_facts(self._folder)["cleaning"]:
            rank_zero_info(line)

    def _read_facts(self, folder: Path) -> dict[str, Any]:
        return read_facts(folder)

    @property
    def folder(self) -> Path | None:
        """The cache's folder, once it is known; another process may be told."""
        return self._folder

    @folder.setter
    def folder(self, folder: Path) -> None:
        self._folder = folder

    def setup(self, stage: str | None = None) -> None:
        """Open the token ids, memory-mapped."""
        if self._rows:
            return
        if self._folder is None:
            self.prepare_data()  # another process has filled the cache: this finds it
        assert self._folder is not None
        self.tokenizer = load_tokenizer(str(self._folder / "tokenizer"))
        self.tokenizer.model_max_length = self.max_length  # the network may have no more positions
        self.facts = self._read_facts(self._folder)
        for name in SPLITS:
            self._rows[name] = TokenRows(self._folder / f"{name}.arrow")

    @property
    def fingerprint(self) -> str:
        """The key of the token cache: equal for equal texts, cleaning, tokenizer and lengths."""
        assert self._folder is not None, "setup comes first"
        return self._folder.name

    @property
    def token_rows(self) -> dict[str, TokenRows]:
        """The token ids by split."""
        return self._rows

    @property
    def chars_per_token(self) -> dict[str, float]:
        """Characters, spaces included, for each token without specials, by split."""
        return {name: self.facts[name]["characters"] / max(self.facts[name]["tokens"], 1) for name in SPLITS}

    @property
    def train_batches(self) -> int | None:
        """Batches of an epoch for this process; None where there is no end to them."""
        return len(self.plan("train"))

    @property
    def packs(self) -> bool:
        """Whether batches are packed: the model knows, once it is attached and configured."""
        if self.trainer is None:
            return self.packing is True
        return bool(getattr(getattr(self.trainer, "lightning_module", None), "packs", False))

    def plan(self, split: str) -> BatchPlan:
        """Which examples go together, for this process.

        Args:
            split: train, validation or test.
        """
        lengths = self._rows[split].lengths
        training = split == "train"
        world_size = self.trainer.world_size if self.trainer else 1
        return BatchPlan(
            lengths,
            self.batch_size if training else self.eval_batch_size,
            shuffle=training,
            seed=self.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=world_size,
            budget=self._budget(split, lengths, world_size),
            accumulate=getattr(self.trainer, "accumulate_grad_batches", 1),
        )

    def _budget(self, split: str, lengths: np.ndarray, world_size: int) -> TokenBudget | None:
        """Kept for the next time: the number of its batches takes a while to find."""
        if self.tokens_per_batch is None:
            return None
        training, packed = split == "train", self.packs
        if (split, packed, world_size) not in self._budgets:
            self._budgets[split, packed, world_size] = TokenBudget(
                lengths,
                self.tokens_per_batch * (1 if training else 2),  # no gradients: twice the room
                packed=packed,
                shuffle=training,
                window_batches=self.packed_window_batches if packed else WINDOW_BATCHES,
                multiple_of=world_size,
                seed=self.seed,
            )
        return self._budgets[split, packed, world_size]

    def _loader(self, split: str) -> ResumableLoader:
        # With --trainer.overfit_batches the same batches must come back in each epoch.
        fixed = split != "train" or bool(getattr(self.trainer, "overfit_batches", 0))
        # Runs with different seeds are measured on the same masks.
        collate = self.collate_function(self.seed if split == "train" else self.split_seed)
        return ResumableLoader(
            Batches(self._rows[split], collate),
            self.plan(split),
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            fixed_epoch=fixed,
        )

    def train_dataloader(self) -> Any:
        """Batches of similar length, different in each epoch."""
        return self._loader("train")

    def val_dataloader(self) -> ResumableLoader:
        """The held-out part of the training texts, longest first."""
        return self._loader("validation")

    def test_dataloader(self) -> ResumableLoader:
        """The test split, longest first."""
        return self._loader("test")
