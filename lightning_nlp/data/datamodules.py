"""The DataModules: labelled texts for a classifier, sentences for a masked language model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader

from lightning_nlp.data.base import MASKING, TextDataModule
from lightning_nlp.data.batches.budget import cut
from lightning_nlp.data.batches.collators import collate_classification, collate_mlm
from lightning_nlp.data.batches.loader import Batch, Batches, ResumableLoader
from lightning_nlp.data.batches.plan import WINDOW_BATCHES
from lightning_nlp.data.streaming.blocks import Blocks, block_batches
from lightning_nlp.data.streaming.corpus import Corpus, find_corpus
from lightning_nlp.data.streaming.stream import held_out_rows, stream_source, tokenize
from lightning_nlp.data.streaming.stream_loader import StreamLoader
from lightning_nlp.data.texts.sources import Source, labelled_source, text_source
from lightning_nlp.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

DEFAULT_CACHE = "~/.cache/lightning_nlp"
HELD_OUT = 2_000  # rows of a stream, for validation and for the test
SAMPLE = 10_000  # rows of a stream that stand for it in statistics, where no tokenizer is trained on more


class TextClassificationDataModule(TextDataModule):
    """Labelled texts for a `SequenceClassifier`.

    Args:
        path: A CSV, TSV, JSONL or parquet file, a glob, a folder where names of files or folders tell the split or the
            class, a Hub id, or `demo` for the embedded reviews. Parts of train are held out where splits are missing.
        text_column: The column with the text.
        label_column: The column with the label, numbers or words.
        encoding: How files of text are encoded, as Python names it: utf-8, cp1252, utf-16, ...
        delimiter: What separates the fields of a CSV or TSV file: a character or `tab`. Null tells it by the suffix.
        quoting: Whether fields of CSV and TSV may stand between quotation marks; else the marks belong to the texts.
        tokenizer: A folder or Hub id. Null takes that of `model.pretrained`, or trains a WordPiece tokenizer.
        max_length: The most tokens of a text, [CLS] and [SEP] included; longer texts are truncated.
        truncation: `head` keeps the beginning of a long text, `head_tail` a quarter from its beginning and
            the rest from its end.
        batch_size: Examples a device and step.
        eval_batch_size: The same for validation and test. Null takes twice `batch_size`.
        tokens_per_batch: Tokens a device and step, in the place of batch_size; twice as many for validation and test.
        packing: Whether sequences are laid end to end, without padding. `auto` does so where it is proven for
            the architecture and the device, and pads in groups of similar length elsewhere.
        num_workers: Processes that prepare batches. 0 is best without a GPU.
        val_fraction: The share of train that is held out to choose the best checkpoint, if the data has none
            for it. About so much: a hash of each text decides, so that no other row moves it to another part.
        test_fraction: The share of train that is held out for the test, if the data has none for it; likewise.
        group_column: The column with whose texts they are, such as an author, patient or document: texts of
            one group are held out together. A row without one is a group of its own.
        clean: Turn `<br />` into line breaks, fold white space, drop control characters.
        deduplicate: Drop training texts that repeat, or that also stand in validation or test.
        drop_incomplete: Drop rows without text or label instead of stopping at them.
        missing_labels: Labels that stand for a missing one, such as [-1]; [] takes all as classes. Null takes
            nan, None, NULL, N/A, ?, - and the like, and asks about -1 beside 0, 1, ...
        max_train_samples: Train on so many examples only, those with the smallest hashes. Null takes all.
        max_val_samples: Validate on so many examples only.
        max_test_samples: Test on so many examples only.
        tokenizer_model: What is trained without a `tokenizer`: `wordpiece`, or `bpe` of bytes, to which nothing is
            unknown, for source code and scripts without spaces.
        vocab_size: The most entries of a tokenizer that is trained here.
        min_frequency: How often a pair must occur to be merged by such a tokenizer.
        limit_alphabet: The most single characters that such a tokenizer keeps. Null goes by the texts (see
            `train_wordpiece`).
        lowercase: Whether such a tokenizer folds case.
        split_seed: Keys the hashes behind held-out parts and samples; leave it, so that runs compare.
        seed: Chooses the order of batches. Null takes `seed_everything`.
        cache_dir: Where downloads and token ids are kept.
    """

    def __init__(
        self,
        path: str,
        text_column: str = "text",
        label_column: str = "label",
        encoding: str = "utf-8",
        delimiter: str | None = None,
        quoting: bool = True,
        tokenizer: str | None = None,
        max_length: int = 512,
        truncation: Literal["head", "head_tail"] = "head",
        batch_size: int = 16,
        eval_batch_size: int | None = None,
        tokens_per_batch: int | None = None,
        packing: bool | Literal["auto"] = "auto",
        num_workers: int = 0,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        group_column: str | None = None,
        clean: bool = True,
        deduplicate: bool = True,
        drop_incomplete: bool = False,
        missing_labels: list[str | int] | None = None,
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
        cache_dir: str = DEFAULT_CACHE,
    ) -> None:
        super().__init__({name: value for name, value in locals().items() if name not in ("self", "__class__")})

    def source(self) -> Source:
        """The labelled texts at `path`."""
        names = ("path", "text_column", "label_column", "group_column", "drop_incomplete", "missing_labels")
        return labelled_source(**{name: self._arguments[name] for name in names}, dialect=self.dialect)

    @property
    def label_names(self) -> list[str]:
        """The classes' names, in the order of their ids."""
        return self.facts["label_names"]

    @property
    def class_counts(self) -> list[int]:
        """The number of training examples of each class."""
        return self.facts["train"]["class_counts"]

    def predict_dataloader(self) -> DataLoader[Batch]:
        """The test split in its order, for `Trainer.predict`."""
        lengths = self.token_rows["test"].lengths
        room = 2 * self.tokens_per_batch if self.tokens_per_batch else self.eval_batch_size * self.max_length
        batches = cut(lengths, np.arange(len(lengths)), room, packed=bool(self.packed))
        collated = Batches(self.token_rows["test"], self.collate_function(self.split_seed))
        keys = [(0, rows.tolist()) for rows in batches]
        return DataLoader(collated, sampler=keys, batch_size=None, num_workers=self.num_workers)

    def collate_function(self, seed: int) -> Callable[[dict[str, Any], int], Batch]:
        """Padding or packing alone."""
        return partial(
            collate_classification,
            pad_token_id=self.tokenizer.pad_token_id,
            max_length=self.max_length,
            packed=bool(self.packed),
        )


class IMDBDataModule(TextClassificationDataModule):
    """IMDB film reviews (Maas et al. 2011), from the Hub unless `path` names a copy: parquet files or the aclImdb tree.

    The arguments are those of TextClassificationDataModule.
    """

    def __init__(self, path: str = "stanfordnlp/imdb", **kwargs: Any) -> None:
        super().__init__(path=path, **kwargs)


class MaskedLanguageModelingDataModule(TextDataModule):
    """Sentences for a `MaskedLanguageModel`; a sentence longer than `max_length` is split, nothing is lost.

    Args:
        path: Sentence files (one a line, or Leipzig's `id<TAB>sentence`; also .gz), a glob, CSV, TSV, JSONL
            or parquet, a folder, a Hub id, the address of a Leipzig tar.gz, or `demo` for the embedded
            Esperanto. Null downloads the Leipzig corpus epo_literature_2011_300K.
        text_column: The column with the text, for files that have columns.
        encoding: How files of text are encoded, as Python names it: utf-8, cp1252, utf-16, ...
        delimiter: What separates the fields of a CSV or TSV file: a character or `tab`. Null tells it by the suffix.
        quoting: Whether fields of CSV and TSV may stand between quotation marks; else the marks belong to the texts.
        tokenizer: A folder or Hub id. Null takes that of `model.pretrained`, or trains a WordPiece tokenizer.
        max_length: The most tokens of an example, [CLS] and [SEP] included.
        batch_size: Sentences a device and step.
        eval_batch_size: The same for validation and test. Null takes twice `batch_size`.
        tokens_per_batch: Tokens a device and step, in the place of batch_size; twice as many for validation and test.
        packing: Whether sequences are laid end to end, without padding. `auto` does so where it is proven for
            the architecture and the device, and pads in groups of similar length elsewhere.
        num_workers: Processes that prepare batches. 0 is best without a GPU.
        mlm_probability: The share of tokens to predict.
        mask_token_prob: The share of those that becomes [MASK].
        random_token_prob: The share of those that becomes a random word; the rest stays as it is.
        val_fraction: The share of sentences held out to choose the best checkpoint. About so much: a hash of
            each sentence decides, so that no other row moves it to another part.
        test_fraction: The share of sentences held out for the test; likewise.
        group_column: The column with what they are out of, such as a document: sentences of one group are
            held out together. A row without one is a group of its own.
        clean: Turn `<br />` into line breaks, fold white space, drop control characters.
        deduplicate: Drop sentences that repeat.
        max_train_samples: Train on so many sentences only, those with the smallest hashes. Null takes all.
        max_val_samples: Validate on so many sentences only.
        max_test_samples: Test on so many sentences only.
        streaming: Read the training texts shard by shard while training, for corpora beyond memory and disk: files,
            globs, addresses (`https://host/part-{000..099}.jsonl.zst`) or a data set of the Hub, tokenized and batched
            on the way. A run then has no epochs but ends by `trainer.max_steps` or `max_tokens`, holds out
            `max_val_samples` and `max_test_samples` rows (null: 2,000 each), and drops copies of those alone.
        shuffle_rows: Texts of a stream that are shuffled among each other, after the shards are.
        tokenizer_samples: Texts of a stream that its tokenizer is trained on.
        max_tokens: End the training after about so many tokens of training, padding not counted: whole steps,
            by the mean of a batch. Learning rate and validations are laid out by it. Null sets no such end.
        tokenizer_model: What is trained without a `tokenizer`: `wordpiece`, or `bpe` of bytes, to which nothing is
            unknown, for source code and scripts without spaces.
        vocab_size: The most entries of a tokenizer that is trained here.
        min_frequency: How often a pair must occur to be merged by such a tokenizer.
        limit_alphabet: The most single characters that such a tokenizer keeps. Null goes by the texts (see
            `train_wordpiece`).
        lowercase: Whether such a tokenizer folds case. Accents are kept either way.
        split_seed: Keys the hashes behind held-out parts and samples, and the masks of evaluation; leave it,
            so that runs compare.
        seed: Chooses the order of batches and the masks of training. Null takes `seed_everything`.
        cache_dir: Where downloads and token ids are kept.
    """

    # Sentences of equal length attend in one operation on a CPU, and each step learns from as many tokens.
    packed_window_batches = 8

    def __init__(
        self,
        path: str | None,
        text_column: str = "text",
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
        mlm_probability: float = 0.15,
        mask_token_prob: float = 0.8,
        random_token_prob: float = 0.1,
        val_fraction: float = 0.02,
        test_fraction: float = 0.02,
        group_column: str | None = None,
        clean: bool = True,
        deduplicate: bool = True,
        max_train_samples: int | None = None,
        max_val_samples: int | None = None,
        max_test_samples: int | None = None,
        streaming: bool = False,
        shuffle_rows: int = 50_000,
        tokenizer_samples: int = 500_000,
        max_tokens: int | None = None,
        tokenizer_model: Literal["wordpiece", "bpe"] = "wordpiece",
        vocab_size: int = 50_000,
        min_frequency: int = 2,
        limit_alphabet: int | None = None,
        lowercase: bool = True,
        split_seed: int = 42,
        seed: int | None = None,
        cache_dir: str = DEFAULT_CACHE,
    ) -> None:
        super().__init__({name: value for name, value in locals().items() if name not in ("self", "__class__")})
        self._masking = {name: self._arguments[name] for name in MASKING}
        both = {"mask_token_prob + random_token_prob": mask_token_prob + random_token_prob}
        for name, value in (self._masking | both).items():
            if not 0 <= value <= 1 or (name == "mlm_probability" and value == 0):
                raise UserError(
                    f"--data.{name} is a share of tokens and must lie in [0, 1] (the first above 0), not {value}."
                )
        for name in ("max_tokens", "shuffle_rows", "tokenizer_samples", "max_val_samples", "max_test_samples"):
            number = self._arguments[name]
            if number is not None and number < 1:
                raise UserError(f"--data.{name} must be at least 1, not {number}.")
        if streaming and max_train_samples is not None:
            raise UserError(
                "--data.max_train_samples is not for a stream: give --trainer.max_steps or --data.max_tokens."
            )
        if streaming and group_column is not None:
            raise UserError(
                f"--data.group_column {group_column} is not for a stream, whose held-out texts are the first rows of "
                "its shards: leave it out, or give --data.streaming false."
            )
        if streaming and encoding != "utf-8":
            raise UserError(
                f"--data.encoding {encoding} is not for a stream: convert its files with `iconv -f {encoding} -t "
                "utf-8`, or give --data.streaming false."
            )
        self.streaming = streaming
        self._shuffle_rows = shuffle_rows
        self._sample = tokenizer_samples if tokenizer is None else min(tokenizer_samples, SAMPLE)
        self._held_out = {"validation": max_val_samples or HELD_OUT, "test": max_test_samples or HELD_OUT}
        self._text_column = text_column
        if streaming:
            self._cleaning |= {"max_val_samples": None, "max_test_samples": None}  # the stream sees to them

    @cached_property
    def _corpus(self) -> Corpus:
        return find_corpus(self.path, text_column=self._text_column)

    def source(self) -> Source:
        """The texts at `path`; of a stream the held-out parts, and a sample of the training texts."""
        if self.streaming:
            return stream_source(self._corpus, self._held_out, self._sample)
        names = ("path", "text_column", "group_column")
        arguments = {name: self._arguments[name] for name in names}
        return text_source(**arguments, cache_dir=self.cache_dir, dialect=self.dialect)

    def given_tokenizer(self) -> PreTrainedTokenizerFast | None:
        """The tokenizer that `tokenizer` names, which must be able to hide words; None trains one."""
        tokenizer = super().given_tokenizer()
        if tokenizer is not None and tokenizer.mask_token_id is None:
            raise UserError(
                f"The tokenizer {self.tokenizer_name} has no mask token, so no word can be hidden: give another "
                "--data.tokenizer."
            )
        return tokenizer

    def setup(self, stage: str | None = None) -> None:
        """Open the token ids, and make sure that each split has something to predict: usually its first batch has."""
        super().setup(stage)
        for split, rows in self.token_rows.items():
            batches = Batches(rows, self.collate_function(self.seed if split == "train" else self.split_seed))
            numbers = np.array_split(np.arange(len(rows.lengths)), -(-len(rows.lengths) // self.batch_size))
            if not any(len(batches[0, part.tolist()]["masked"]) for part in numbers):
                raise UserError(
                    f"Not one token of the {len(rows.lengths)} sentences of {split} is masked, so there is nothing to "
                    f"predict: raise --data.mlm_probability, which is {self._masking['mlm_probability']}, hold out "
                    "more (--data.val_fraction, --data.test_fraction), or give more or longer sentences."
                )

    def _read_facts(self, folder: Path) -> dict[str, Any]:
        facts = super()._read_facts(folder)
        if self.streaming:
            shards = self._corpus.shards()
            lines = [f"a stream of {shards:,} shard{'s' if shards > 1 else ''}", *facts["cleaning"]]
            lines[1] = lines[1].replace("train: ", "train, a sample: ", 1)
            facts |= {"cleaning": lines, "streamed": True}
        return facts

    @property
    def train_batches(self) -> int | None:
        """Batches of an epoch for this process; None for a stream, which has no end."""
        return None if self.streaming else super().train_batches

    @property
    def tokens_in_batch(self) -> float:
        """The mean number of tokens in a training batch of a process, padding not counted."""
        lengths = self.token_rows["train"].lengths
        if self.streaming:  # as the sample tells
            lengths = lengths[: self._shuffle_rows].astype(np.int64)
            return float(lengths.sum()) / len(block_batches(lengths, self._layout, 0, 0))
        plan = self.plan("train")
        return float(lengths.sum()) / (len(plan) * plan.world_size)

    @property
    def _layout(self) -> dict[str, Any]:
        """What decides which texts of a stream go together."""
        if self.tokens_per_batch is None:
            return {"rows": self._shuffle_rows, "batch_size": self.batch_size}
        window_batches = self.packed_window_batches if self.packed else WINDOW_BATCHES
        budget = {"tokens": self.tokens_per_batch, "packed": bool(self.packed), "window_batches": window_batches}
        return {"rows": self._shuffle_rows, "budget": budget}

    def train_dataloader(self) -> ResumableLoader | StreamLoader:
        """Batches of similar length, different in each epoch; of a stream as many as the training has."""
        if not self.streaming:
            return super().train_dataloader()
        assert self.trainer is not None
        self.plan("test")  # as `super` does
        held_out = (self.token_rows[split].digests() for split in ("validation", "test"))
        clean, deduplicate = self._cleaning["clean"], self._cleaning["deduplicate"]
        blocks = Blocks(
            self._corpus,
            partial(tokenize, tokenizer=self.tokenizer, max_length=self.max_length, clean=clean),
            self.collate_function(self.seed),
            layout=self._layout,
            seed=self.seed,
            held_out=held_out_rows(self._corpus, self._held_out),
            hidden=frozenset(chain.from_iterable(held_out)) if deduplicate else frozenset(),
        )
        return StreamLoader(
            blocks,
            self.trainer.max_steps * self.trainer.accumulate_grad_batches,
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )

    def predict_dataloader(self) -> Any:
        """There is none: the test measures the masks of its texts."""
        raise UserError(
            "A masked language model predicts for texts with [MASK]: give Trainer.predict a DataLoader of such, or use "
            "`python train.py predict --run RUN --input FILE`."
        )

    def collate_function(self, seed: int) -> Callable[[dict[str, Any], int], Batch]:
        """Padding or packing, and masking."""
        special_ids = torch.tensor(sorted(self.tokenizer.all_special_ids))
        vocabulary = torch.arange(len(self.tokenizer))
        return partial(
            collate_mlm,
            pad_token_id=self.tokenizer.pad_token_id,
            max_length=self.max_length,
            seed=seed,
            special_ids=special_ids,
            word_ids=vocabulary[~torch.isin(vocabulary, special_ids)],
            mask_token_id=self.tokenizer.mask_token_id,
            **self._masking,
            packed=bool(self.packed),
        )


class EsperantoDataModule(MaskedLanguageModelingDataModule):
    """Esperanto literature, by default the Leipzig corpus epo_literature_2011_300K.

    The arguments are those of MaskedLanguageModelingDataModule.
    """

    def __init__(self, path: str | None = None, **kwargs: Any) -> None:
        super().__init__(path=path, **kwargs)
