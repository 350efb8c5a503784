"""Where a model is good: by the length of a text, by the frequency of a token, on words and on subwords."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LENGTH_GROUPS = 8
# How tokenizers mark the pieces of a word: the first continues one, the others begin one.
CONTINUES, BEGINS = "##", ("Ġ", "▁")


def by_length(lengths: Array, right: Array) -> list[dict[str, float]]:
    """Accuracy by length in tokens, in at most `LENGTH_GROUPS` groups of about equal size; (N,) each.

    Returns:
        For each group `low` and `high` (both inclusive), `examples` and `accuracy`.
    """
    if not len(lengths):
        return []
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, LENGTH_GROUPS + 1)).astype(int))
    group = np.searchsorted(edges[1:-1], lengths, side="right")  # the last group includes its upper edge
    return [
        {
            "low": int(lengths[group == number].min()),
            "high": int(lengths[group == number].max()),
            "examples": int((group == number).sum()),
            "accuracy": float(right[group == number].mean()),
        }
        for number in np.unique(group).tolist()
    ]


def by_frequency(targets: Array, counts: Array, figures: dict[str, Array]) -> list[dict[str, float]]:
    """A masked language model by how often the masked token occurs in train: 0, 1 to 9, 10 to 99, and so on.

    Args:
        targets: The masked tokens' ids, (n,).
        counts: How often each token occurs in train, (vocabulary,).
        figures: By name, a number for each target, (n,).

    Returns:
        For each group with tokens `low`, `high` (both inclusive), `tokens`, and the mean of each figure.
    """
    often = counts[targets]
    groups = []
    low, high = 0, 0
    while low <= (often.max() if len(often) else -1):
        inside = (often >= low) & (often <= high)
        if inside.any():
            groups.append({"low": low, "high": high} | _means(inside, figures))
        low, high = high + 1, 10 * (high + 1) - 1
    return groups


def by_piece(targets: Array, continues: Array, figures: dict[str, Array]) -> dict[str, dict[str, float]]:
    """The same for tokens that begin a word (`word`) and that continue one (`subword`).

    Args:
        continues: Whether each token continues a word, (vocabulary,).
    """
    subword = continues[targets]
    groups = {"word": ~subword, "subword": subword}
    return {name: _means(inside, figures) for name, inside in groups.items() if inside.any()}


def continues_a_word(vocabulary: Sequence[str], special: set[str]) -> NDArray[np.bool_]:
    """Which tokens continue a word, (vocabulary,): by the marks of WordPiece, BPE or SentencePiece."""
    wordpiece = any(token.startswith(CONTINUES) for token in vocabulary)
    begins = tuple(mark for mark in BEGINS if any(token.startswith(mark) for token in vocabulary))

    def goes_on(token: str) -> bool:
        return token.startswith(CONTINUES) if wordpiece else bool(begins) and not token.startswith(begins)

    return np.array([token not in special and goes_on(token) for token in vocabulary], dtype=bool)


def _means(inside: Array, figures: dict[str, Array]) -> dict[str, float]:
    return {"tokens": int(inside.sum())} | {name: float(values[inside].mean()) for name, values in figures.items()}
