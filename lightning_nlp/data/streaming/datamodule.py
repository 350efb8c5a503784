"""The data module of a corpus that is read, tokenized and batched while the training runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lightning_nlp.data.base import MOST
from lightning_nlp.data.batches.plan import WINDOW_BATCHES
from lightning_nlp.data.mlm import MaskedLanguageModelingDataModule
from lightning_nlp.data.streaming.blocks import Blocks, block_batches
from lightning_nlp.data.streaming.corpus import Corpus, find_corpus
from lightning_nlp.data.streaming.stream_loader import StreamLoader
from lightning_nlp.data.texts.normalize import clean_text
from lightning_nlp.data.texts.sources import Row, Source
from lightning_nlp.data.tokens.encoding import encode
from lightning_nlp.errors import check_range

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPREAD = 16  # held-out texts are the first of up to this many shards
SAMPLE = 10_000  # rows for statistics about the stream, unless a tokenizer is trained on more


class StreamingDataModule(MaskedLanguageModelingDataModule):
    """Sentences for a `MaskedLanguageModel` from a corpus too large for memory and disk, read shard by shard.

    A training has no epochs: it ends by `trainer.max_steps` or `max_tokens`. Of the corpus only the held-out texts and
    a sample are stored. For arguments not listed here see `MaskedLanguageModelingDataModule`.

    Args:
        path: Files, a glob, an address (`https://host/part-{000..099}.jsonl.zst`) or a data set of the Hub: text,
            JSONL or parquet.
        shuffle_rows: How many texts are shuffled together; shards are shuffled too.
        tokenizer_samples: Texts that the tokenizer is trained on.
        max_val_samples: Rows held out for validation: the first ones of up to 16 shards, or of the corpus's own split.
            With `deduplicate`, copies of held-out texts are not trained on; other repeats are not detected.
        max_test_samples: The same for the test.
    """

    streaming = True  # no epochs

    def __init__(
        self,
        path: str,
        *,
        shuffle_rows: int = 50_000,
        tokenizer_samples: int = 500_000,
        max_val_samples: int = 2_000,
        max_test_samples: int = 2_000,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            path,
            group_column=None,
            encoding="utf-8",
            delimiter=None,
            quoting=True,
            val_fraction=0.5,  # unused: the source has all three splits
            test_fraction=0.5,
            max_train_samples=None,
            max_val_samples=None,  # the source holds them out
            max_test_samples=None,
            **kwargs,
        )
        counts = {"shuffle_rows": shuffle_rows, "tokenizer_samples": tokenizer_samples}
        counts |= {"max_val_samples": max_val_samples, "max_test_samples": max_test_samples}
        for name, count in counts.items():
            check_range(f"--data.{name}", count, 1, MOST)
        self.shuffle_rows = shuffle_rows
        self.tokenizer_samples = tokenizer_samples
        self.held_out = {"validation": max_val_samples, "test": max_test_samples}

    @cached_property
    def corpus(self) -> Corpus:
        """The shards at `path`."""
        return find_corpus(self.path, text_column=self.text_column)

    def source(self) -> Source:
        """The held-out parts, and a sample of the training texts."""
        sample = self.tokenizer_samples if self.tokenizer_name is None else min(self.tokenizer_samples, SAMPLE)
        return stream_source(self.corpus, self.held_out, sample)

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments that determine the texts and their token ids."""
        held_out = {"max_val_samples": self.held_out["validation"], "max_test_samples": self.held_out["test"]}
        return super().settings | held_out | {"tokenizer_samples": self.tokenizer_samples, "streaming": True}

    def _read_facts(self, folder: Path) -> dict[str, Any]:
        facts = super()._read_facts(folder)
        shards = self.corpus.shards()
        lines = [f"a stream of {shards:,} shard{'s' if shards > 1 else ''}", *facts["cleaning"]]
        lines[1] = lines[1].replace("train: ", "train, a sample: ", 1)
        return facts | {"cleaning": lines, "streamed": True}

    @property
    def train_batches(self) -> None:
        """None: a stream has no end."""

    @property
    def tokens_in_batch(self) -> float:
        """The mean number of tokens in a process's training batch of the sample, padding not counted."""
        lengths = self.token_rows["train"].lengths[: self.shuffle_rows].astype(np.int64)
        return float(lengths.sum()) / len(block_batches(lengths, self._layout, 0, 0))

    @property
    def _layout(self) -> dict[str, Any]:
        if self.tokens_per_batch is None:
            return {"rows": self.shuffle_rows, "batch_size": self.batch_size}
        window_batches = self.packed_window_batches if self.packed else WINDOW_BATCHES
        budget = {"tokens": self.tokens_per_batch, "packed": bool(self.packed), "window_batches": window_batches}
        return {"rows": self.shuffle_rows, "budget": budget}

    def train_dataloader(self) -> StreamLoader:
        """The batches of the whole training."""
        assert self.trainer is not None
        hidden = chain.from_iterable(self.token_rows[split].digests() for split in ("validation", "test"))
        blocks = Blocks(
            self.corpus,
            partial(tokenize, tokenizer=self.tokenizer, max_length=self.max_length, clean=self.cleaning.clean),
            self.collate_function(self.seed),
            layout=self._layout,
            seed=self.seed,
            held_out=held_out_rows(self.corpus, self.held_out),
            hidden=frozenset(hidden if self.cleaning.deduplicate else ()),
        )
        return StreamLoader(
            blocks,
            self.trainer.max_steps * self.trainer.accumulate_grad_batches,
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            rank=self.trainer.global_rank,
            world_size=self.trainer.world_size,
        )


def stream_source(corpus: Corpus, held_out: dict[str, int], sample: int) -> Source:
    """The held-out parts, and the `sample` rows of train after them, as an ordinary source."""
    splits: dict[str, Callable[[], Iterator[Row]]] = {}
    taken = dict.fromkeys(corpus.streams, 0)
    for split, size in (("test", held_out["test"]), ("validation", held_out["validation"]), ("train", sample)):
        of = split if split in corpus.streams else "train"
        shards = _spread(corpus.shards(of))
        each = -(-size // len(shards))
        splits[split] = partial(_first_rows, corpus, of, shards, taken[of], each)
        taken[of] += each
    return Source(
        description=corpus.description,
        fingerprint=hashlib.sha256(json.dumps([corpus.fingerprint, held_out, sample]).encode()).hexdigest(),
        splits=splits,
        labelled=False,
        files=corpus.files,
        hold_out_by="--data.max_val_samples and --data.max_test_samples (null: 2,000 rows each)",
    )


def held_out_rows(corpus: Corpus, held_out: dict[str, int]) -> dict[int, int]:
    """How many of a shard's first rows `stream_source` holds out; other shards are left out."""
    shards = _spread(corpus.shards())
    rows = sum(-(-size // len(shards)) for split, size in held_out.items() if split not in corpus.streams)
    return dict.fromkeys(shards, rows)


def _spread(number: int) -> list[int]:
    chosen = min(number, SPREAD)
    return [i * number // chosen for i in range(chosen)]


def _first_rows(corpus: Corpus, split: str, shards: list[int], row: int, each: int) -> Iterator[Row]:
    for shard in shards:
        for number, text in islice(corpus.rows(split, shard, row=row), each):
            yield Row(text, None, f"{split}, shard {shard}, row {number} (from 0)")


def tokenize(
    texts: list[str], *, tokenizer: PreTrainedTokenizerFast, max_length: int, clean: bool
) -> tuple[list[np.ndarray], list[int]]:
    """Token ids, int32 as in the cache, and the number of each array's text; long texts are split."""
    texts = [clean_text(text) if clean else text.encode("utf-8", "replace").decode() for text in texts]
    ids, origins, _ = encode(texts, tokenizer, max_length=max_length, truncation=None)
    return [np.array(example, dtype=np.int32) for example in ids], origins
