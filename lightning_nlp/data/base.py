"""The half of a data module that deals token ids out in batches, and the arguments that all share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_nlp.data.batches.budget import TokenBudget
from lightning_nlp.data.batches.eval_batches import limited_batches
from lightning_nlp.data.batches.loader import Batch, Batches, BatchLoader, ResumableLoader
from lightning_nlp.data.batches.plan import WINDOW_BATCHES, BatchPlan, FixedSize
from lightning_nlp.data.prepared import PreparedTexts
from lightning_nlp.data.texts.dialect import Dialect
from lightning_nlp.data.tokens.preparation import Cleaning, TokenizerTraining
from lightning_nlp.errors import UserError, check_range

MOST = 2**32 - 1  # of any whole number: tokenizers and random number generators take no larger one
WORKERS_PER_CORE = 8  # more than that wait for each other


class TextDataModule(PreparedTexts):
    """Token ids in batches, from any source of texts; the tasks' modules say which source and how to collate.

    The models read `packing` (what the user wants) and `train_batches`, and set `packed` (what is done).

    Args:
        path: Where the texts are.
        text_column: The column with the text.
        group_column: The column that says whose or from where a text is (author, patient, document): texts of one
            group are held out together. A row without a value is its own group.
        encoding: The encoding of text files, by its Python name: utf-8, cp1252, utf-16, ...
        delimiter: What separates the fields of a CSV or TSV file: a character or `tab`. Null goes by the suffix.
        quoting: Whether quotation marks enclose fields of CSV and TSV files; else they belong to the texts.
        tokenizer: A folder or Hub id. Null takes that of `model.pretrained`, or trains a tokenizer.
        max_length: The most tokens of an example, [CLS] and [SEP] included.
        batch_size: Examples per device and step.
        eval_batch_size: The same for validation and test. Null takes twice `batch_size`.
        tokens_per_batch: Tokens per device and step, instead of batch_size; twice as many for validation and test.
        packing: Whether sequences are laid end to end, without padding. `auto` does so where it is proven for
            the architecture and the device, and pads in groups of similar length elsewhere.
        num_workers: Processes that prepare batches. 0 is best without a GPU.
        val_fraction: The share of train that is held out to choose the best checkpoint, if the data has no validation
            split. It is approximate: a hash of each text decides, so that other rows don't move it.
        test_fraction: The same for the test.
        clean: Turn `<br />` into line breaks, fold white space, drop control characters.
        deduplicate: Drop training texts that repeat, or that are in validation or test too.
        max_train_samples: Train on this many examples, those with the smallest hashes. Null takes all.
        max_val_samples: Validate on this many examples.
        max_test_samples: Test on this many examples.
        tokenizer_model: What to train without a `tokenizer`: `wordpiece`, or `bpe` of bytes, which knows every text.
        vocab_size: The most entries of a tokenizer that is trained here.
        min_frequency: How often a pair must occur to be merged by such a tokenizer.
        limit_alphabet: The most single characters that such a tokenizer keeps. Null goes by the texts.
        lowercase: Whether such a tokenizer folds case. Accents are kept either way.
        split_seed: Keys the hashes behind held-out parts and samples, and the masks of evaluation; keep it to compare.
        seed: Chooses the order of batches and the masks of training. Null takes `seed_everything`.
        cache_dir: Where downloads and token ids are kept.
    """

    # Packed batches filled to a number of tokens: examples for this many batches are sorted by length among
    # themselves. With 0 all batches hold about as many examples, and each example weighs the same.
    packed_window_batches = 0
    takes_pairs = False

    def __init__(
        self,
        path: str | None,
        *,
        text_column: list[str] | str = "text",
        group_column: str | None = None,
        encoding: str = "utf-8",
        delimiter: str | None = None,
        quoting: bool = True,
        tokenizer: str | None = None,
        max_length: int = 512,
        batch_size: int = 16,
        eval_batch_size: int | None = None,
        tokens_per_batch: int | None = None,
        packing: bool | Literal["auto"] = "auto",
        num_workers: int = 0,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        clean: bool = True,
        deduplicate: bool = True,
        max_train_samples: int | None = None,
        max_val_samples: int | None = None,
        max_test_samples: int | None = None,
        tokenizer_model: Literal["wordpiece", "bpe"] = "wordpiece",
        vocab_size: int = 30_000,
        min_frequency: int = 2,
        limit_alphabet: int | None = None,
        lowercase: bool = True,
        split_seed: int = 42,
        seed: int | None = None,
        cache_dir: str = "~/.cache/lightning_nlp",
    ) -> None:
        check_range("--data.max_length", max_length, 3, MOST)
        check_range("--data.num_workers", num_workers, 0, WORKERS_PER_CORE * (os.cpu_count() or 1))
        for name, number in {"min_frequency": min_frequency, "split_seed": split_seed, "seed": seed}.items():
            check_range(f"--data.{name}", number, 0, MOST)
        sizes = {"batch_size": batch_size, "eval_batch_size": eval_batch_size}
        for name, size in (sizes | {"vocab_size": vocab_size, "limit_alphabet": limit_alphabet}).items():
            check_range(f"--data.{name}", size, 1, MOST)
        if not self.takes_pairs and (isinstance(text_column, list) or text_column.startswith("[")):
            raise UserError(
                f"--data.text_column is {text_column}, and pairs of texts are for a TextClassificationDataModule: give "
                "the name of one column."
            )
        if tokens_per_batch is not None and tokens_per_batch < max_length:
            raise UserError(
                f"A text may have {max_length} tokens and a batch only {tokens_per_batch}: raise "
                "--data.tokens_per_batch or lower --data.max_length."
            )
        if tokenizer is not None and not lowercase:
            raise UserError(
                f"--data.lowercase false is for a tokenizer that is trained here, and {tokenizer} is given: leave it "
                "out; do_lower_case in its tokenizer_config.json decides."
            )
        super().__init__()
        self.path = path
        self.text_column = text_column
        self.group_column = group_column
        self.dialect = Dialect(encoding, delimiter, quoting)
        samples = (max_train_samples, max_val_samples, max_test_samples)
        self.cleaning = Cleaning(clean, deduplicate, val_fraction, test_fraction, *samples, split_seed)
        self.tokenizer_name = tokenizer
        self.tokenizer_training = TokenizerTraining(
            tokenizer_model, vocab_size, min_frequency, limit_alphabet, lowercase
        )
        self.max_length = max_length
        self.cache_dir = Path(cache_dir).expanduser()
        self.token_rows = {}
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size or min(2 * batch_size, MOST)  # no gradients: twice the room
        self.tokens_per_batch = tokens_per_batch
        self.packing = packing
        self.packed: bool | None = True if packing is True else None  # the model decides
        self.num_workers = num_workers
        self.split_seed = split_seed
        self.seed = split_seed if seed is None else seed
        self._budgets: dict[str, TokenBudget] = {}

    def collate_function(self, seed: int) -> Callable[[dict[str, Any], int], Batch]:
        """What makes a batch of (columns, epoch), drawing with `seed`."""
        raise NotImplementedError

    @property
    def train_batches(self) -> int | None:
        """Batches of an epoch for this process; None if they are endless."""
        return len(self.training_plan())

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
        packed = bool(self.packed)
        windows = self.packed_window_batches if packed else WINDOW_BATCHES
        budget = TokenBudget(lengths, tokens, packed=packed, window_batches=windows, world_size=world_size, **shared)
        # The first one is kept: it takes a while to count its steps.
        return BatchPlan(self._budgets.setdefault(str(budget.layout), budget), rank)

    def evaluation_batches(self, split: str) -> list[np.ndarray]:
        """Which texts of validation or test go together; the processes take the batches in turn."""
        limit = self._limit(split)
        return limited_batches(
            self.token_rows[split].lengths,
            getattr(self.trainer, limit, 1.0),
            limit,
            seed=self.split_seed,
            world_size=self._process[1],
            batch_size=self.eval_batch_size,
            tokens=self.tokens_per_batch and 2 * self.tokens_per_batch,  # no gradients: twice the room
            packed=bool(self.packed),
        )

    def _limit(self, split: str) -> str:
        """The Trainer's argument that may cut an evaluation short."""
        if split == "test":
            return "limit_test_batches"
        return "overfit_batches" if getattr(self.trainer, "overfit_batches", 0) else "limit_val_batches"

    def part(self, split: str, batches: list[np.ndarray] | None = None) -> str | None:
        """How much of a split the Trainer's limits leave, e.g. "75 of 300 texts"; None if all is read."""
        if split == "train":
            number, whole = getattr(self.trainer, "num_training_batches", None), self.train_batches
            what = "batches an epoch"
        else:
            number = sum(map(len, batches or self.evaluation_batches(split)))
            whole, what = len(self.token_rows[split].lengths), "texts"
        return None if number is None or whole is None or number >= whole else f"{number:,} of {whole:,} {what}"

    def train_dataloader(self) -> Any:
        """Batches of similar length, different in each epoch."""
        self.evaluation_batches("test")  # a limit that leaves nothing of it stops the run before the training
        batches = Batches(self.token_rows["train"], self.collate_function(self.seed))
        fixed = bool(getattr(self.trainer, "overfit_batches", 0))  # the same batches in each epoch
        return ResumableLoader(batches, self.training_plan(), num_workers=self.num_workers, fixed_epoch=fixed)

    def _evaluation_loader(self, split: str) -> BatchLoader:
        chosen = self.evaluation_batches(split)
        if (part := self.part(split, chosen)) is not None:
            limit = "fast_dev_run" if getattr(self.trainer, "fast_dev_run", 0) else self._limit(split)
            rank_zero_info(f"{split}: measured on {part}, drawn at random (--trainer.{limit}).")
        # Runs with different seeds are measured on the same masks.
        batches = Batches(self.token_rows[split], self.collate_function(self.split_seed))
        rank, world_size = self._process
        keys = [(0, rows.tolist()) for rows in chosen[rank::world_size]]
        return BatchLoader(batches, keys, num_workers=self.num_workers)

    def val_dataloader(self) -> BatchLoader:
        """The validation split, longest first; with a limit, a random part of it."""
        return self._evaluation_loader("validation")

    def test_dataloader(self) -> BatchLoader:
        """The test split, in the same way."""
        return self._evaluation_loader("test")
