"""What a stream keeps on the disk: the held-out parts, and a sample of the training texts for the tokenizer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from lightning_nlp.data.streaming.corpus import Corpus
from lightning_nlp.data.texts.columns import Row
from lightning_nlp.data.texts.normalize import clean_text
from lightning_nlp.data.texts.sources import Source
from lightning_nlp.data.tokens.preparation import encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPREAD = 16  # the parts come from the beginnings of so many shards


def stream_source(corpus: Corpus, held_out: dict[str, int], sample: int) -> Source:
    """The held-out parts and the sample as a source like any other: the same for the same shards.

    Args:
        held_out: Rows of validation and of test: the first ones of each of up to 16 shards, unless the corpus
            has such a split itself; then its first rows.
        sample: Rows of train, the first ones after those.
    """
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
    """How many of each shard's first rows `stream_source` holds out, by shard; of other shards none."""
    shards = _spread(corpus.shards())
    rows = sum(-(-size // len(shards)) for split, size in held_out.items() if split not in corpus.streams)
    return dict.fromkeys(shards, rows)


def _spread(number: int) -> list[int]:
    """Up to 16 of so many shards."""
    chosen = min(number, SPREAD)
    return [i * number // chosen for i in range(chosen)]


def _first_rows(corpus: Corpus, split: str, shards: list[int], row: int, each: int) -> Iterator[Row]:
    for shard in shards:
        for number, text in islice(corpus.rows(split, shard, row=row), each):
            yield Row(text, None, f"{split}, shard {shard}, row {number} (from 0)")


def tokenize(
    texts: list[str], *, tokenizer: PreTrainedTokenizerFast, max_length: int, clean: bool
) -> tuple[list[np.ndarray], list[int]]:
    """Token ids of texts as the cached way has them; a long text is split, an empty one gives nothing.

    Returns:
        int32 arrays of at most `max_length` ids, specials included, and for each the number of its text.
    """
    texts = [clean_text(text) if clean else text.encode("utf-8", "replace").decode() for text in texts]
    ids, origins, _ = encode(texts, tokenizer, max_length=max_length, truncation=None)
    return [np.array(example, dtype=np.int32) for example in ids], origins
