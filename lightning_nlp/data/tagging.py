"""The data module of a token classifier: sentences with a tag for each word."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lightning_nlp.data.base import TextDataModule
from lightning_nlp.data.batches.collators import collate, longest_first, per_token
from lightning_nlp.data.batches.loader import Batch
from lightning_nlp.evaluation import IGNORE_INDEX

if TYPE_CHECKING:
    from lightning_nlp.data.texts.sources import Source


class TokenClassificationDataModule(TextDataModule):
    """Sentences with a tag for each word. For arguments not listed see `TextDataModule`.

    A sentence of more than `max_length` tokens is split between two words, and each part counts as a
    sentence, so every word is trained on and evaluated. There is no `clean`.

    Args:
        path: CoNLL columns (one word per line; also CoNLL-U), JSONL or parquet, a glob, a folder where names
            of files tell the split, a Hub id, or `demo` for embedded sentences with names.
        text_column: The column of a table with the lists of words.
        label_column: The column with the tags: its name in a table, by default `ner_tags`; its number in
            CoNLL columns, from 1, by default the last, and 4 (UPOS) in CoNLL-U.
        drop_incomplete: Drop sentences without words instead of raising an error.
        lowercase: Whether a tokenizer trained here lowercases; capitals help to find names.
    """

    head = "ForTokenClassification"

    def __init__(
        self,
        path: str,
        *,
        text_column: str = "tokens",
        label_column: str | int | None = None,
        drop_incomplete: bool = False,
        lowercase: bool = False,
        **kwargs: Any,
    ) -> None:
        has_tokenizer = kwargs.get("tokenizer") is not None  # which decides for itself
        super().__init__(path, text_column=text_column, clean=False, lowercase=lowercase or has_tokenizer, **kwargs)
        self.source_settings = {"label_column": label_column, "drop_incomplete": drop_incomplete}

    def source(self) -> Source:
        """The tagged sentences at `path`."""
        from lightning_nlp.data.texts.tagged import tagged_source

        assert self.path is not None
        return tagged_source(self.path, **self.columns, **self.source_settings, dialect=self.dialect)

    @property
    def label_names(self) -> list[str]:
        """The tags, in the order of their ids."""
        return self.facts["label_names"]

    def collate_function(self, seed: int) -> Callable[[dict[str, Any], int], Batch]:
        """Padding or packing."""
        return partial(collate_tags, **self.padding)


def collate_tags(examples: dict[str, Any], epoch: int, *, packed: bool = False, **padding: Any) -> dict[str, Any]:
    """Pad or pack tagged sentences into a batch, the same in each epoch.

    Args:
        examples: Columns `input_ids` and `label` (n arrays each, -100 where a token has no tag) and `index` (n).
        padding: `pad_token_id` and `max_length`.

    Returns:
        What `collate` returns, `labels` like `input_ids`, `words`, the positions of the tagged tokens in the flattened
        batch, and `word_rows`, the row number of each.
    """
    examples = longest_first(examples, packed)
    batch = collate(examples["input_ids"], packed=packed, **padding)
    tags = examples["label"]
    batch["labels"] = per_token(batch, torch.from_numpy(np.concatenate(tags).astype(np.int64)))
    batch["words"] = (batch["labels"] != IGNORE_INDEX).flatten().nonzero().squeeze(1)
    words_in = [np.count_nonzero(np.asarray(row) != IGNORE_INDEX) for row in tags]
    batch["word_rows"] = torch.from_numpy(np.repeat(np.asarray(examples["index"]), words_in))
    return batch
