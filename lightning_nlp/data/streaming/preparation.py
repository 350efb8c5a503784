"""What a stream keeps on the disk: the held-out parts, and a sample of the training texts for the tokenizer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

from lightning_nlp.data.readers import Row
from lightning_nlp.data.sources import Source
from lightning_nlp.data.streaming.corpus import Corpus

SPREAD = 16  # the parts come from the beginnings of so many shards


def held_out_rows(corpus: Corpus, sizes: dict[str, int]) -> dict[int, int]:
    """How many of each shard's first rows are no training rows.

    Args:
        corpus: The shards.
        sizes: Rows of validation and of test.

    Returns:
        Rows by shard, without shards that give none; empty where the corpus has both splits itself.
    """
    shards = _spread(corpus, "train")
    held = sum(-(-size // len(shards)) for split, size in sizes.items() if split not in corpus.streams)
    return dict.fromkeys(shards, held) if held else {}


def stream_source(corpus: Corpus, sizes: dict[str, int], sample: int) -> Source:
    """The held-out parts and the sample as a source like any other: the same for the same shards.

    Args:
        corpus: The shards.
        sizes: Rows of validation and of test. They are the first ones of each of up to 16 shards, unless the corpus has
            such a split itself: then its first rows.
        sample: Rows of train, the first ones after those.

    Returns:
        The source; its `train` is the sample.
    """
    shards, before = _spread(corpus, "train"), 0
    splits: dict[str, Callable[[], Iterator[Row]]] = {}
    for split in ("test", "validation"):
        if split in corpus.streams:
            splits[split] = partial(_first_rows, corpus, split, _spread(corpus, split), 0, sizes[split])
        else:
            splits[split] = partial(_first_rows, corpus, "train", shards, before, sizes[split])
            before += -(-sizes[split] // len(shards))
    splits["train"] = partial(_first_rows, corpus, "train", shards, before, sample)
    return Source(
        description=corpus.description,
        fingerprint=hashlib.sha256(json.dumps([corpus.fingerprint, sizes, sample]).encode()).hexdigest(),
        splits=splits,
        label_names=None,
        labelled=False,
    )


def _spread(corpus: Corpus, split: str) -> list[int]:
    number = corpus.shards(split)
    chosen = min(number, SPREAD)
    return [i * number // chosen for i in range(chosen)]


def _first_rows(corpus: Corpus, split: str, shards: list[int], row: int, total: int) -> Iterator[Row]:
    """About `total` rows, as many of each shard, from a row on."""
    each = -(-total // len(shards))
    for shard in shards:
        for number, text in islice(corpus.rows(split, shard, row=row), each):
            yield Row(text, None, f"{split}, shard {shard}, row {number} (from 0)")
