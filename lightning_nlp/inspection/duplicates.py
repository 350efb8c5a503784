"""Texts that are almost the same, found by MinHash and locality-sensitive hashing (datasketch)."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from lightning_nlp.inspection.reading import SHOWN, Text, excerpt

SHINGLE = 5  # words in a row
THRESHOLD = 0.8  # of the two texts' shingles are in both (Jaccard)
# 14 bands of 6 find a pair of similarity 0.8 with probability 0.986, one of 0.9 with 0.99998; all that they find is
# compared shingle by shingle, so that no pair below the threshold is reported.
BANDS, BAND_ROWS = 14, 6
MOST_COMPARED = 50  # texts that one text is compared with: templates may fill a bucket with thousands

MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

_WORD = re.compile(r"\w+")


@lru_cache(maxsize=1 << 18)
def _hash(word: str) -> int:
    return zlib.crc32(word.encode()) * 0x2545F4914F6CDD1D & 0xFFFFFFFFFFFFFFFF  # crc32 alone is linear


def shingles(text: str) -> np.ndarray:
    """Hashes of the different runs of five words of a text, without capitals and punctuation; of a short one, one."""
    words = np.array([_hash(word) for word in _WORD.findall(text.lower())] or [0], dtype=np.uint64)
    runs = max(1, len(words) - SHINGLE + 1)
    hashes = np.zeros(runs, dtype=np.uint64)
    for place in range(min(SHINGLE, len(words))):
        hashes = hashes * MULTIPLIER + words[place : place + runs]  # modulo 2^64; numbers, where strings take long
    return np.unique((hashes ^ (hashes >> np.uint64(32))).astype(np.uint32))


def near_duplicates(texts: Sequence[Text]) -> dict[str, Any]:
    """Find pairs of different texts that share most of their five-word runs.

    Args:
        texts: Different texts; where splits differ, those of the held-out splits last.

    Returns:
        `texts` (looked at, by split), `threshold`, `repeats` (texts that are almost the same as an earlier one of their
        split), `shared_texts` (of a held-out split, almost the same as one of train), `conflicts` (pairs with different
        labels), `examples` (most similar first).
    """
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=BANDS * BAND_ROWS, params=(BANDS, BAND_ROWS))
    hashed = [shingles(text.text) for text in texts]
    repeats, shared, conflicts = Counter(dict.fromkeys((t.split for t in texts), 0)), Counter[str](), 0
    examples: list[tuple[float, int, int]] = []
    minhashes = MinHash.generator(hashed, num_perm=BANDS * BAND_ROWS, hashfunc=int)
    for number, minhash in enumerate(minhashes):
        text = texts[number]
        candidates = sorted(index.query(minhash))[:MOST_COMPARED]
        scores = {other: _jaccard(hashed[other], hashed[number]) for other in candidates}
        similar = [other for other, score in scores.items() if score >= THRESHOLD]
        index.insert(number, minhash, check_duplication=False)
        repeats[text.split] += any(texts[other].split == text.split for other in similar)
        if text.split != "train" and any(texts[other].split == "train" for other in similar):
            shared[f"train and {text.split}"] += 1
        conflicts += sum(texts[other].label != text.label for other in similar)
        examples += [(scores[other], other, number) for other in similar]
        if len(examples) > 100 * SHOWN:
            examples = _best(examples, texts)
    return {
        "texts": dict(Counter(text.split for text in texts)),
        "threshold": THRESHOLD,
        "repeats": dict(repeats),
        "shared_texts": dict(shared),
        "conflicts": conflicts,
        "examples": [
            {
                "similarity": round(score, 3),
                "text": excerpt(texts[second].text),
                "first": texts[first].where,
                "again": texts[second].where,
                "labels": "" if texts[first].label is None else f"{texts[first].label}, {texts[second].label}",
            }
            for score, first, second in _best(examples, texts)
        ],
    }


def _best(examples: list[tuple[float, int, int]], texts: Sequence[Text]) -> list[tuple[float, int, int]]:
    """The examples to show: those in two splits or with two labels first, then the most similar ones."""
    return sorted(
        examples,
        key=lambda e: (texts[e[1]].split == texts[e[2]].split, texts[e[1]].label == texts[e[2]].label, -e[0], e[1:]),
    )[:SHOWN]


def _jaccard(one: np.ndarray, other: np.ndarray) -> float:
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / (len(one) + len(other) - both)
