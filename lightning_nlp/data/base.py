"""What the DataModules of both tasks share: the cache of token ids, opened and dealt out in batches."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from lightning import LightningDataModule
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.data.batches.budget import TokenBudget
from lightning_nlp.data.batches.eval_batches import evaluation_batches, limited_batches
from lightning_nlp.data.batches.loader import Batch, Batches, BatchLoader, ResumableLoader
from lightning_nlp.data.batches.plan import WINDOW_BATCHES, BatchPlan, FixedSize
from lightning_nlp.data.texts.cleaning import WARNING
from lightning_nlp.data.texts.delimited import Dialect
from lightning_nlp.data.texts.labels import numbered
from lightning_nlp.data.texts.layout import SPLITS
from lightning_nlp.data.texts.sources import Source
from lightning_nlp.data.tokens.given_tokenizer import load_tokenizer, warn_of_case
from lightning_nlp.data.tokens.preparation import Truncation, prepare_tokens
from lightning_nlp.data.tokens.rows import TokenRows
from lightning_nlp.data.trained_on import Record, check_record, own_cache
from lightning_nlp.errors import UserError, warn_user
from lightning_nlp.privacy import paths_with_tilde

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MOST = 2**32 - 1  # the most of any whole number: what the tokenizer and the generators of random numbers take
WORKERS_PER_CORE = 8  # more than that wait for each other
# Which arguments do what; all that are in none of these say where the texts are, or how they are tokenized.
SAMPLES = ("max_train_samples", "max_val_samples", "max_test_samples")
CLEANING = ("clean", "deduplicate", "val_fraction", "test_fraction", *SAMPLES, "split_seed")
TRAINING = ("tokenizer_model", "vocab_size", "min_frequency", "limit_alphabet", "lowercase")
MASKING = ("mlm_probability", "mask_token_prob", "random_token_prob")
BATCHING = (
    *("batch_size", "eval_batch_size", "tokens_per_batch", "packing", "num_workers", "seed", "cache_dir"),
    *("shuffle_rows", "max_tokens", *MASKING),
)


class TextDataModule(LightningDataModule):
    """Token ids in batches, from any source of texts; the two tasks' modules say which source and how to collate.

    Public attributes after `setup`, which the models read: `tokenizer`, `max_length`, `train_batches` (an
    epoch's batches for this process), `packing` (what the user wants; a model answers with its own `packs`),
    `facts` (counts and names), `chars_per_token` by split, `token_rows` by split.
    """

    tokenizer: PreTrainedTokenizerFast
    facts: dict[str, Any]
    # Packed batches filled to a number of tokens: examples for so many are sorted by length among themselves.
    # With 0 all hold about as many examples, and each example weighs the same.
    packed_window_batches = 0

    def __init__(self, arguments: dict[str, Any]) -> None:
        super().__init__()
        given, batch_size = dict(arguments), arguments["batch_size"]
        if given["eval_batch_size"] is None:
            given["eval_batch_size"] = min(2 * batch_size, MOST)  # no gradients: twice the room
        if given["seed"] is None:
            given["seed"] = given["split_seed"]
        for name, least, most in (
            ("max_length", 3, MOST),
            ("batch_size", 1, MOST),
            ("eval_batch_size", 1, MOST),
            ("num_workers", 0, WORKERS_PER_CORE * (os.cpu_count() or 1)),
            ("vocab_size", 1, MOST),
            ("min_frequency", 0, MOST),
            ("limit_alphabet", 1, MOST),
            ("split_seed", 0, MOST),
            ("seed", 0, MOST),
        ):
            value = least if given.get(name) is None else given[name]
            if value < least:
                raise UserError(f"--data.{name} must be at least {least}, not {value}.")
            if value > most:
                raise UserError(f"--data.{name} must be at most {most}, not {value}.")
        self.max_length: int = given["max_length"]
        self.batch_size: int = batch_size
        self.eval_batch_size: int = given["eval_batch_size"]
        self.tokens_per_batch: int | None = given["tokens_per_batch"]
        self.max_tokens: int | None = given.get("max_tokens")
        if self.tokens_per_batch is not None and self.tokens_per_batch < self.max_length:
            raise UserError(
                f"A text may have {self.max_length} tokens and a batch only {self.tokens_per_batch}: raise "
                "--data.tokens_per_batch or lower --data.max_length."
            )
        self.packing: bool | Literal["auto"] = given["packing"]
        self.num_workers: int = given["num_workers"]
        self.seed: int = given["seed"]
        self.split_seed: int = given["split_seed"]
        self.cache_dir = Path(given["cache_dir"]).expanduser()
        self.path: str | None = given["path"]
        self.dialect = Dialect(given["encoding"], given["delimiter"], given["quoting"])
        self.tokenizer_name: str | None = given["tokenizer"]
        if self.tokenizer_name is not None and given.get("lowercase") is False:
            raise UserError(
                f"--data.lowercase false is for a tokenizer that is trained here, and {self.tokenizer_name} is given: "
                "leave it out; do_lower_case in that one's tokenizer_config.json decides."
            )
        self._cleaning = {name: given[name] for name in CLEANING}
        self._training = {name: given[name] for name in TRAINING if name in given}
        self._truncation: Truncation | None = given.get("truncation")
        self._arguments = arguments
        self._trained_on: Record | None = None
        self.folder: Path | None = None  # the cache's, once it is known; another process may be told
        self.token_rows: dict[str, TokenRows] = {}
        self._budgets: dict[str, TokenBudget] = {}

    def source(self) -> Source:
        """Where the texts come from."""
        raise NotImplementedError

    def collate_function(self, seed: int) -> Callable[[dict[str, Any], int], Batch]:
        """Makes a batch of (columns, epoch), with `seed` for what is drawn."""
        raise NotImplementedError

    def given_tokenizer(self) -> PreTrainedTokenizerFast | None:
        """The tokenizer that `tokenizer_name` names; None trains one."""
        if self.tokenizer_name is None:
            return None
        tokenizer = load_tokenizer(self.tokenizer_name)
        warn_of_case(tokenizer, self.tokenizer_name)
        return tokenizer

    def prepare_data(self) -> None:
        """Download, clean, train the tokenizer and tokenize; on one process, and only what the cache does not hold."""
        if self.folder is not None:  # the test at the end of a fit is of the very data that the fit saw
            return
        source, own = self.source(), own_cache(self._trained_on, self.settings, self.cache_dir)
        self.folder = prepare_tokens(
            source,
            self.cache_dir,
            cleaning=self._cleaning,
            tokenizer=self.given_tokenizer(),
            training=self._training,
            max_length=self.max_length,
            truncation=self._truncation,
            own=own,
        )
        facts = self._read_facts(self.folder)
        if self.folder == own and facts.get("fingerprint") != source.fingerprint:
            changed = "has" if "fingerprint" in facts else "may have"  # the second of a run from before it was noted
            texts = "held-out texts" if facts.get("streamed") else "texts"
            warn_user(
                f"{source.description} {changed} changed since this run began: its own {texts} are used, out of the "
                f"token cache ({own}); for the new ones, begin a new run."
            )
        for line in (*source.lines(), *facts["cleaning"]):
            (warn_user if line.startswith(WARNING) else rank_zero_info)(line)
        if (names := facts["label_names"]) is not None:
            counts = dict(zip(names, facts["train"]["class_counts"], strict=True))
            rank_zero_info(f"{len(names)} classes, with their number in train: {numbered(counts)}")

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments that decide which texts there are, and their token ids."""
        others = BATCHING if self.tokenizer_name is None else (*BATCHING, *TRAINING)
        return {name: value for name, value in self._arguments.items() if name not in others}

    def record(self) -> Record:
        """What a checkpoint keeps of its data, as plain types and tensors: it loads with `weights_only`."""
        texts = {split: rows.texts() for split, rows in self.token_rows.items()}
        return {
            "folder": self.fingerprint,
            "settings": paths_with_tilde(self.settings),
            **{name: self.facts.get(name) for name in ("source", "label_names", "streamed")},
            "texts": texts if all(texts.values()) else None,
        }

    def go_on_from(self, record: Record | None) -> None:
        """Take what a checkpoint was trained on, so that nothing of it is measured as if it were new.

        Before `prepare_data`, this lets the checkpoint's own token cache be used, where the settings are the
        same and it is still there. Data that cannot go with it raise a UserError.
        """
        known = self._trained_on
        if known is not None and (record is None or record["folder"] == known["folder"]):
            return
        self._trained_on = record
        if self.token_rows:
            self._check_record()

    def _check_record(self) -> None:
        if self.trainer is not None:
            check_record(self._trained_on, self.record(), getattr(self.trainer.state.fn, "value", None))

    def _read_facts(self, folder: Path) -> dict[str, Any]:
        return json.loads((folder / "facts.json").read_text(encoding="utf-8"))

    def setup(self, stage: str | None = None) -> None:
        """Open the token ids, memory-mapped."""
        if self.token_rows:
            return
        if self.folder is None:
            self.prepare_data()  # another process has filled the cache: this finds it
        assert self.folder is not None
        self.tokenizer = load_tokenizer(str(self.folder / "tokenizer"))
        self.tokenizer.model_max_length = self.max_length  # the network may have no more positions
        self.facts = self._read_facts(self.folder)
        for name in SPLITS:
            self.token_rows[name] = TokenRows(self.folder / f"{name}.arrow")
        if self._trained_on is not None:
            self._check_record()

    @property
    def reading(self) -> dict[str, Any]:
        """How a text becomes token ids, for who predicts with the trained network."""
        truncation = {} if self._truncation is None else {"truncation": self._truncation}
        return {"max_length": self.max_length, "clean": self._cleaning["clean"], **truncation}

    @property
    def fingerprint(self) -> str:
        """The key of the token cache: equal for equal texts, cleaning, tokenizer and lengths."""
        assert self.folder is not None, "setup comes first"
        return self.folder.name

    @property
    def chars_per_token(self) -> dict[str, float]:
        """Characters, spaces included, for each token without specials, by split."""
        return {name: self.facts[name]["characters"] / max(self.facts[name]["tokens"], 1) for name in SPLITS}

    @property
    def train_batches(self) -> int | None:
        """Batches of an epoch for this process; None where there is no end to them."""
        return len(self.training_plan())

    @property
    def packs(self) -> bool:
        """Whether batches are packed: the model knows, once it is attached and configured."""
        if self.trainer is None:
            return self.packing is True
        return bool(getattr(getattr(self.trainer, "lightning_module", None), "packs", False))

    @property
    def _process(self) -> tuple[int, int]:
        """Rank and world size."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def training_plan(self) -> BatchPlan:
        """Which training texts go together, for this process."""
        lengths, (rank, world_size) = self.token_rows["train"].lengths, self._process
        shared = {"accumulate": getattr(self.trainer, "accumulate_grad_batches", 1), "seed": self.seed}
        if (tokens := self.tokens_per_batch) is None:
            return BatchPlan(FixedSize(lengths, self.batch_size * world_size, world_size=world_size, **shared), rank)
        packed = self.packs
        windows = self.packed_window_batches if packed else WINDOW_BATCHES
        budget = TokenBudget(lengths, tokens, packed=packed, window_batches=windows, world_size=world_size, **shared)
        # The first one is kept: it takes a while to count its steps.
        return BatchPlan(self._budgets.setdefault(str(budget.layout), budget), rank)

    def evaluation_batches(self, split: str) -> list[np.ndarray]:
        """Which texts of validation or test go together: one batch after the other for each process in turn."""
        lengths, (_, world_size), limit = self.token_rows[split].lengths, self._process, self._limit(split)
        lay_out = partial(
            evaluation_batches,
            lengths,
            batch_size=self.eval_batch_size,
            tokens=self.tokens_per_batch and 2 * self.tokens_per_batch,  # no gradients: twice the room
            packed=self.packs,
            world_size=world_size,
        )
        share = getattr(self.trainer, limit, 1.0)
        return limited_batches(lay_out, len(lengths), share, limit, seed=self.split_seed, world_size=world_size)

    def _limit(self, split: str) -> str:
        """The argument of the Trainer that may cut an evaluation short."""
        if split == "test":
            return "limit_test_batches"
        return "overfit_batches" if getattr(self.trainer, "overfit_batches", 0) else "limit_val_batches"

    def part(self, split: str) -> str | None:
        """How much of a split the Trainer's limits leave, such as "75 of 300 texts"; None if all is read."""
        if split == "train":
            number, whole = getattr(self.trainer, "num_training_batches", None), self.train_batches
            what = "batches an epoch"
        else:
            number, whole = sum(map(len, self.evaluation_batches(split))), len(self.token_rows[split].lengths)
            what = "texts"
        return None if number is None or whole is None or number >= whole else f"{number:,} of {whole:,} {what}"

    def train_dataloader(self) -> Any:
        """Batches of similar length, different in each epoch."""
        self.evaluation_batches("test")  # a limit that leaves nothing of it is found before the training
        batches = Batches(self.token_rows["train"], self.collate_function(self.seed))
        # With --trainer.overfit_batches the same batches must come back in each epoch.
        fixed = bool(getattr(self.trainer, "overfit_batches", 0))
        return ResumableLoader(batches, self.training_plan(), num_workers=self.num_workers, fixed_epoch=fixed)

    def _evaluation_loader(self, split: str) -> BatchLoader:
        if (part := self.part(split)) is not None:
            rank_zero_info(f"{split}: measured on {part}, drawn at random (--trainer.{self._limit(split)}).")
        # Runs with different seeds are measured on the same masks.
        batches = Batches(self.token_rows[split], self.collate_function(self.split_seed))
        rank, world_size = self._process
        keys = [(0, rows.tolist()) for rows in self.evaluation_batches(split)[rank::world_size]]
        return BatchLoader(batches, keys, num_workers=self.num_workers)

    def val_dataloader(self) -> BatchLoader:
        """The validation split, longest first; with a limit, a random part of it."""
        return self._evaluation_loader("validation")

    def test_dataloader(self) -> BatchLoader:
        """The test split, likewise."""
        return self._evaluation_loader("test")
