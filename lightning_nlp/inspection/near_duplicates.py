"""Texts that are almost the same, by their smallest hashes (MinHash, Broder 1997)."""

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np

from lightning_nlp.inspection.reading import SHOWN, Text, example

SHINGLE = 5  # words in a row
THRESHOLD = 0.8  # of the two texts' shingles are in both (Jaccard)
# Two texts of similarity s share none of their 8 smallest hashes with probability (1 - s)^8 at most; those that
# share one are compared shingle by shingle, so that no pair below the threshold is reported.
SMALLEST = 8
MOST_COMPARED = 50  # texts that one text is compared with: thousands made from one template may share a hash

_WORD = re.compile(r"\w+")
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def near_duplicates(texts: Sequence[Text]) -> dict[str, Any]:
    """Find pairs of different texts that share most of their five-word runs; held-out splits come last.

    Returns:
        `texts` (examined, by split), `threshold`, `repeats` (almost the same as an earlier text of their split),
        `in_train` (of a held-out split, and almost the same as one of train), `examples` (first those in two
        splits, then those with two labels, then the most similar).
    """
    hashed = [shingles(text.text) for text in texts]
    buckets: dict[int, list[int]] = defaultdict(list)
    number_of = Counter(text.split for text in texts)
    repeats, in_train = Counter(dict.fromkeys(number_of, 0)), Counter[str]()
    examples: list[tuple[bool, bool, float, int, int]] = []
    for second, text in enumerate(texts):
        own = [buckets[number] for number in hashed[second][:SMALLEST].tolist()]  # they are sorted
        candidates = sorted(first for first, _ in Counter(chain(*own)).most_common(MOST_COMPARED))
        scores = {first: _jaccard(hashed[first], hashed[second]) for first in candidates}
        similar = [first for first in candidates if scores[first] >= THRESHOLD]
        for bucket in own:
            if len(bucket) < MOST_COMPARED:
                bucket.append(second)
        splits = {texts[first].split for first in similar}
        repeats[text.split] += text.split in splits
        if text.split != "train" and "train" in splits:
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
            {"similarity": round(-score, 3), **example(texts[first], texts[second])}
            for *_, score, first, second in examples
        ],
    }


def shingles(text: str) -> np.ndarray:
    """Hashes of a text's distinct runs of five words, ignoring case and punctuation; a short text has one."""
    words = np.array([_hash(word) for word in _WORD.findall(text.lower())] or [0], dtype=np.uint64)
    runs = max(1, len(words) - SHINGLE + 1)
    hashes = np.zeros(runs, dtype=np.uint64)
    for place in range(min(SHINGLE, len(words))):
        hashes = hashes * _MULTIPLIER + words[place : place + runs]  # modulo 2^64
    return np.unique((hashes ^ (hashes >> np.uint64(32))).astype(np.uint32))


@lru_cache(maxsize=1 << 18)
def _hash(word: str) -> int:
    return zlib.crc32(word.encode()) * 0x2545F4914F6CDD1D & 0xFFFFFFFFFFFFFFFF  # crc32 alone is linear


def _jaccard(one: np.ndarray, other: np.ndarray) -> float:
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both)
