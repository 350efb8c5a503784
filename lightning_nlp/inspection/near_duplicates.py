"""Texts that are almost the same, found by MinHash (Broder 1997) and locality-sensitive hashing."""

from __future__ import annotations

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from lightning_nlp.inspection.reading import SHOWN, Text, excerpt

SHINGLE = 5  # words in a row
THRESHOLD = 0.8  # of the two texts' shingles are in both (Jaccard)
# 14 bands of 6 find a pair of similarity 0.8 with probability 0.986, one of 0.9 with 0.99998; all that they
# find is compared shingle by shingle, so that no pair below the threshold is reported.
BANDS, BAND_ROWS = 14, 6
MOST_COMPARED = 50  # texts that one text is compared with: templates may share a band by the thousand

_WORD = re.compile(r"\w+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_HASHES = np.random.default_rng(0).integers(1, 2**64, (3, BANDS * BAND_ROWS), dtype=np.uint64)


def near_duplicates(texts: Sequence[Text]) -> dict[str, Any]:
    """Find pairs of different texts that share most of their five-word runs.

    Args:
        texts: Different texts; where splits differ, those of the held-out splits last.

    Returns:
        `texts` (looked at, by split), `threshold`, `repeats` (texts that are almost the same as an earlier
        one of their split), `in_train` (texts of a held-out split, almost the same as one of train),
        `examples` (those in two splits first, then those with two labels, then the most similar ones).
    """
    hashed = [shingles(text.text) for text in texts]
    buckets: dict[int, list[int]] = defaultdict(list)
    number_of = Counter(text.split for text in texts)
    repeats, in_train = Counter(dict.fromkeys(number_of, 0)), Counter[str]()
    examples: list[tuple[bool, bool, float, int, int]] = []
    for second, text in enumerate(texts):
        own = [buckets[band] for band in _bands(hashed[second])]
        candidates = sorted(set().union(*own))[:MOST_COMPARED]
        scores = {first: _jaccard(hashed[first], hashed[second]) for first in candidates}
        similar = [first for first in candidates if scores[first] >= THRESHOLD]
        for bucket in own:
            if len(bucket) < MOST_COMPARED:
                bucket.append(second)
        repeats[text.split] += any(texts[first].split == text.split for first in similar)
        if text.split != "train" and any(texts[first].split == "train" for first in similar):
            in_train[text.split] += 1
        for first in similar:
            same = texts[first].split == text.split, texts[first].label == text.label
            examples = sorted([*examples, (*same, -scores[first], first, second)])[:SHOWN]
    return {
        "texts": dict(number_of),
        "threshold": THRESHOLD,
        "repeats": dict(repeats),
        "in_train": dict(in_train),
        "examples": [
            {
                "similarity": round(-score, 3),
                "text": excerpt(texts[second].text),
                "first": texts[first].where,
                "again": texts[second].where,
                "labels": "" if texts[first].label is None else f"{texts[first].label}, {texts[second].label}",
            }
            for *_, score, first, second in examples
        ],
    }


def shingles(text: str) -> np.ndarray:
    """Hashes of the different runs of five words of a text, without capitals and punctuation; of a short one, one."""
    words = np.array([_hash(word) for word in _WORD.findall(text.lower())] or [0], dtype=np.uint64)
    runs = max(1, len(words) - SHINGLE + 1)
    hashes = np.zeros(runs, dtype=np.uint64)
    for place in range(min(SHINGLE, len(words))):
        hashes = hashes * _MULTIPLIER + words[place : place + runs]  # modulo 2^64; numbers, where strings take long
    return np.unique((hashes ^ (hashes >> np.uint64(32))).astype(np.uint32))


@lru_cache(maxsize=1 << 18)
def _hash(word: str) -> int:
    return zlib.crc32(word.encode()) * 0x2545F4914F6CDD1D & 0xFFFFFFFFFFFFFFFF  # crc32 alone is linear


def _bands(hashes: np.ndarray) -> list[int]:
    """A number for each band of the text's MinHash signature: equal bands have equal numbers."""
    factors, summands, mixers = _HASHES
    parts = np.array_split(hashes.astype(np.uint64), 1 + len(hashes) // 10_000)  # of a book's, some MB at a time
    least = [((part[:, None] * factors + summands) >> np.uint64(32)).min(0) for part in parts]
    signature = np.min(least, axis=0)
    return (signature * mixers).reshape(BANDS, BAND_ROWS).sum(1).tolist()  # modulo 2^64


def _jaccard(one: np.ndarray, other: np.ndarray) -> float:
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both)
