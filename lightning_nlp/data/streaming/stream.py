"""What a data module needs of a stream: the source of its held-out parts, and the loader of its training batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_nlp.data.batching import Batch
from lightning_nlp.data.cleaning import clean_text
from lightning_nlp.data.preparation import encode
from lightning_nlp.data.sources import Source
from lightning_nlp.data.streaming.blocks import Blocks, block_batches
from lightning_nlp.data.streaming.corpus import Corpus, find_corpus
from lightning_nlp.data.streaming.loader import StreamLoader
from lightning_nlp.data.streaming.preparation import held_out_rows, stream_source
from lightning_nlp.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

HELD_OUT = 2_000  # rows of validation and of test


class Stream:
    """A corpus of shards that is read while the training runs.

    Args:
        path: As for `find_corpus`.
        text_column: As for `find_corpus`.
        rows: Texts that are shuffled among each other.
        sample: Rows of the training texts that the tokenizer is trained on, and that stand for them in statistics.
        validation: Rows to hold out; None takes 2,000.
        test: The same.

    Raises:
        UserError: If a number is below 1.
    """

    def __init__(
        self, path: str | None, text_column: str, *, rows: int, sample: int, validation: int | None, test: int | None
    ) -> None:
        self.held_out = {
            "validation": HELD_OUT if validation is None else validation,
            "test": HELD_OUT if test is None else test,
        }
        for name, value in (
            ("shuffle_rows", rows),
            ("tokenizer_samples", sample),
            ("max_val_samples", self.held_out["validation"]),
            ("max_test_samples", self.held_out["test"]),
        ):
            if value < 1:
                raise UserError(f"--data.{name} must be at least 1, not {value}.")
        self.path = path
        self.text_column = text_column
        self.rows = rows
        self.sample = sample

    @cached_property
    def corpus(self) -> Corpus:
        """The shards; found when they are first asked for."""
        return find_corpus(self.path, text_column=self.text_column)

    def source(self) -> Source:
        """The held-out parts, and a sample of the training texts."""
        return stream_source(self.corpus, self.held_out, self.sample)

    def layout(self, batches: dict[str, Any]) -> dict[str, Any]:
        """What decides which texts go together.

        Args:
            batches: As for `block_batches`.
        """
        return {"rows": self.rows, **batches}

    def tokens_per_batch(self, lengths: np.ndarray, layout: dict[str, Any]) -> float:
        """The mean number of tokens in a batch, as the sample tells.

        Args:
            lengths: (examples,) lengths in tokens, of the sample.
            layout: Of the batches.
        """
        lengths = lengths[: self.rows].astype(np.int64)
        return float(lengths.sum()) / len(block_batches(lengths, layout, 0, 0))

    def loader(
        self,
        collate: Callable[[dict[str, Any], int], Batch],
        length: int,
        *,
        tokenizer: PreTrainedTokenizerFast,
        max_length: int,
        clean: bool,
        hidden: frozenset[bytes],
        layout: dict[str, Any],
        seed: int,
        **settings: Any,
    ) -> StreamLoader:
        """The loader of the training batches.

        Args:
            collate: As for `StreamLoader`.
            length: As for `StreamLoader`.
            tokenizer: Of the texts.
            max_length: The most tokens of an example.
            clean: Whether texts are cleaned.
            hidden: As for `Blocks`.
            layout: Of `layout`.
            seed: The run's seed.
            **settings: Others of `StreamLoader`.
        """
        blocks = Blocks(
            self.corpus,
            partial(tokenize, tokenizer=tokenizer, max_length=max_length, clean=clean),
            layout=layout,
            seed=seed,
            held_out=held_out_rows(self.corpus, self.held_out),
            hidden=hidden,
        )
        return StreamLoader(blocks, collate, length, **settings)


def tokenize(
    texts: list[str], *, tokenizer: PreTrainedTokenizerFast, max_length: int, clean: bool
) -> tuple[list[np.ndarray], list[int]]:
    """Token ids of texts as the cached way has them; a long text is split, an empty one gives nothing.

    Args:
        texts: The texts.
        tokenizer: A fast tokenizer.
        max_length: The most tokens of an example, special tokens included.
        clean: Whether to apply `clean_text`.

    Returns:
        int32 arrays of ids, and for each the number of its text.
    """
    texts = [clean_text(text) if clean else text.encode("utf-8", "replace").decode() for text in texts]
    ids, origins, _ = encode(texts, tokenizer, max_length=max_length, truncation=None)
    return [np.array(example, dtype=np.int32) for example in ids], origins
