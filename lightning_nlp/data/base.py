"""The data module of all tasks: its arguments, and its loaders; `prepared.py` turns texts into the token ids."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from lightning_nlp.data.batches.eval_batches import Evaluation
from lightning_nlp.data.batches.loader import Batch, Batches, BatchLoader, ResumableLoader
from lightning_nlp.data.batches.plan import WINDOW_BATCHES, BatchPlan, batching_of
from lightning_nlp.data.prepared import PreparedTexts
from lightning_nlp.data.settings import SPLITS, Cleaning, TokenizerTraining
from lightning_nlp.data.tokens.rows import TokenRows
from lightning_nlp.errors import UserError, check_range

MOST = 2**32 - 1  # tokenizers and random number generators take no larger number
RANGES = {  # of arguments
    "max_length": (3, MOST),
    "num_workers": (0, 8 * (os.cpu_count() or 1)),  # more than 8 a core wait for each other
    **dict.fromkeys(("min_frequency", "split_seed", "seed"), (0, MOST)),
    **dict.fromkeys(("batch_size", "eval_batch_size", "vocab_size", "limit_alphabet"), (1, MOST)),
}


class TextDataModule(PreparedTexts):
    """Token ids in batches, from any source of texts. A task's subclass has `source` and `collate_function`.

    The model reads `packing`, what the user wants, and `train_batches`; it sets `packed`, what is done.

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

    # Packed batches filled to a number of tokens: the examples of this many batches are sorted by length among
    # themselves. With 0 all batches hold about as many examples, and each example weighs the same.
    packed_window_batches = 0

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
        given = locals()
        for name, bounds in RANGES.items():
            check_range(f"--data.{name}", given[name], *bounds)
        if tokens_per_batch is not None and tokens_per_batch < max_length:
            raise UserError(
                f"A text may have {max_length} tokens and a batch only {tokens_per_batch}: raise "
                "--data.tokens_per_batch or lower --data.max_length."
            )
        super().__init__()
        self.path = path
        self.text_column = list(text_column) if isinstance(text_column, tuple) else text_column
        self.group_column = group_column
        self.source_settings = {}
        self._dialect = (encoding, delimiter, quoting)  # checked when texts are read
        samples = (max_train_samples, max_val_samples, max_test_samples)
        self.cleaning = Cleaning(clean, deduplicate, val_fraction, test_fraction, *samples, split_seed)
        self.tokenizer_name = tokenizer
        training = (tokenizer_model, vocab_size, min_frequency, limit_alphabet, lowercase)
        self.tokenizer_training = TokenizerTraining(*training)
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
        self._batchings: dict[str, Any] = {}  # by layout: it takes a while to count the steps of a token budget

    def setup(self, stage: str | None = None) -> None:
        """Open the token ids, memory-mapped."""
        from transformers import AutoTokenizer

        if self.token_rows:
            return
        if self.folder is None:
            self.prepare_data()  # another process has filled the cache: this one finds it there
        assert self.folder is not None
        # completed and checked by `load_tokenizer` before it was cached
        self.tokenizer = AutoTokenizer.from_pretrained(self.folder / "tokenizer", trust_remote_code=False)
        self.tokenizer.model_max_length = self.max_length  # the network may have no more positions
        self.facts = self._read_facts(self.folder)
        self.token_rows |= {name: TokenRows(self.folder / f"{name}.arrow") for name in SPLITS}
        if self._trained_on is not None:
            self._check_record()

    def _read_facts(self, folder: Path) -> dict[str, Any]:
        return json.loads((folder / "facts.json").read_text(encoding="utf-8"))

    def collate_function(self, seed: int) -> Callable[[dict[str, Any], int], Batch]:
        """What makes a batch of (columns, epoch), with random numbers from `seed`."""
        raise NotImplementedError

    @property
    def padding(self) -> dict[str, Any]:
        """The arguments of `collate`."""
        sizes = {"pad_token_id": self.tokenizer.pad_token_id, "max_length": self.max_length}
        return {"packed": bool(self.packed), **sizes}

    def batches_of(self, split: str) -> Batches:
        """The batches of a split; runs with different seeds are measured on the same masks."""
        seed = self.seed if split == "train" else self.split_seed
        return Batches(self.token_rows[split], self.collate_function(seed))

    @property
    def train_batches(self) -> int | None:
        """Batches of an epoch for this process; None if they are endless."""
        return len(self.training_plan())

    def training_plan(self) -> BatchPlan:
        """Which training texts go together, for this process; without a Trainer, for the only one."""
        rank, world_size = getattr(self.trainer, "global_rank", 0), getattr(self.trainer, "world_size", 1)
        layout = {"accumulate": getattr(self.trainer, "accumulate_grad_batches", 1)}
        if self.tokens_per_batch is None:
            layout |= {"examples": self.batch_size * world_size}
        else:
            window = self.packed_window_batches if self.packed else WINDOW_BATCHES
            layout |= {"tokens": self.tokens_per_batch, "packed": bool(self.packed), "window_batches": window}
        key = f"{layout} {world_size}"
        if key not in self._batchings:
            self._batchings[key] = batching_of(layout, self.token_rows["train"].lengths, self.seed, world_size)
        return BatchPlan(self._batchings[key], rank)

    def train_dataloader(self) -> Any:
        """Batches of similar length, different in each epoch."""
        batches, plan = self.batches_of("train"), self.training_plan()
        fixed = bool(getattr(self.trainer, "overfit_batches", 0))  # the same batches in each epoch
        return ResumableLoader(batches, plan, num_workers=self.num_workers, fixed_epoch=fixed)

    def part(self, split: str) -> str | None:
        """How much of a split the Trainer's limits leave, e.g. "75 of 300 texts"; None if all is read."""
        if split != "train":
            return self._evaluation(split).part
        number, whole = getattr(self.trainer, "num_training_batches", None), self.train_batches
        limited = number is not None and whole is not None and number < whole
        return f"{number:,} of {whole:,} batches an epoch" if limited else None

    def val_dataloader(self) -> BatchLoader:
        """The validation split, longest first; with a limit, a random part of it."""
        self._evaluation("test")  # a limit that leaves nothing of it stops the run before the training
        return self._evaluation("validation").loader(self.batches_of("validation"), self.num_workers)

    def test_dataloader(self) -> BatchLoader:
        """The test split, in the same way."""
        return self._evaluation("test").loader(self.batches_of("test"), self.num_workers)

    def _evaluation(self, split: str) -> Evaluation:
        tokens = self.tokens_per_batch and 2 * self.tokens_per_batch  # no gradients: twice the room
        lengths, packed = self.token_rows[split].lengths, bool(self.packed)
        return Evaluation(lengths, split, self.trainer, self.eval_batch_size, tokens, packed, self.split_seed)
