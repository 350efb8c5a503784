"""What the DataModules of both tasks share: the cache of token ids, opened and dealt out in batches."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from lightning import LightningDataModule
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.data.batches.budget import TokenBudget
from lightning_nlp.data.batches.limited import draw
from lightning_nlp.data.batches.loader import Batch, Batches, ResumableLoader
from lightning_nlp.data.batches.plan import WINDOW_BATCHES, BatchPlan
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
    epoch's batches for this process), `packing` (what the user wants), `facts` (counts and names),
    `chars_per_token` by split, `token_rows` by split. They set `packed`, whether batches are packed.
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
        self.packed: bool | None = True if self.packing is True else None  # the model decides
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
        self._budgets: dict[tuple[str, bool, int], TokenBudget] = {}

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
        return len(self.plan("train"))

    def plan(self, split: str) -> BatchPlan:
        """Which examples of train, validation or test go together, for this process."""
        lengths, training = self.token_rows[split].lengths, split == "train"
        world_size = self.trainer.world_size if self.trainer else 1
        plan = BatchPlan(
            lengths,
            self.batch_size if training else self.eval_batch_size,
            shuffle=training,
            seed=self.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=world_size,
            budget=self._budget(split, lengths, world_size),
            accumulate=getattr(self.trainer, "accumulate_grad_batches", 1),
        )
        if not training and self.trainer:
            draw(plan, getattr(self.trainer, self._limit(split)), self._limit(split), seed=self.split_seed)
        return plan

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
            number, whole, what = self.plan(split).examples, len(self.token_rows[split].lengths), "texts"
        return None if number is None or whole is None or number >= whole else f"{number:,} of {whole:,} {what}"

    def _budget(self, split: str, lengths: np.ndarray, world_size: int) -> TokenBudget | None:
        """Kept for the next time: the number of its batches takes a while to find."""
        if self.tokens_per_batch is None:
            return None
        training, packed = split == "train", bool(self.packed)
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
        plan = self.plan(split)
        if plan.drawn is not None:
            how = f"drawn at random (--trainer.{self._limit(split)})"
            rank_zero_info(f"{split}: measured on {self.part(split)}, {how}.")
        # With --trainer.overfit_batches the same batches must come back in each epoch.
        fixed = split != "train" or bool(getattr(self.trainer, "overfit_batches", 0))
        # Runs with different seeds are measured on the same masks.
        collate = self.collate_function(self.seed if split == "train" else self.split_seed)
        return ResumableLoader(
            Batches(self.token_rows[split], collate),
            plan,
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            fixed_epoch=fixed,
        )

    def train_dataloader(self) -> Any:
        """Batches of similar length, different in each epoch."""
        self.plan("test")  # a limit that leaves nothing of it is not found after the training
        return self._loader("train")

    def val_dataloader(self) -> ResumableLoader:
        """The validation split, longest first; with a limit, a random part of it."""
        return self._loader("validation")

    def test_dataloader(self) -> ResumableLoader:
        """The test split, likewise."""
        return self._loader("test")
