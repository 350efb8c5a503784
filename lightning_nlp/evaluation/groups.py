"""Quality by group: by the length of a text, by the frequency of a token, on words and on subwords."""

from collections.abc import Sequence

import numpy as np
from numpy import ndarray

LENGTH_GROUPS = 8
CONTINUES, BEGINS = "##", ("Ġ", "▁")  # the marks of a token that continues a word, or begins one


def by_length(lengths: ndarray, right: ndarray) -> list[dict[str, float]]:
    """Accuracy by length, in groups of similar size with `low`, `high`, `examples`; arguments are (N,)."""
    if not len(lengths):
        return []
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, LENGTH_GROUPS + 1)).astype(int))
    group = np.searchsorted(edges[1:-1], lengths, side="right")  # the last group includes its upper edge
    groups = ((lengths[inside], right[inside]) for inside in (group == number for number in np.unique(group)))
    return [
        {"low": int(own.min()), "high": int(own.max()), "examples": len(own), "accuracy": float(hits.mean())}
        for own, hits in groups
    ]


def by_frequency(targets: ndarray, counts: ndarray, figures: dict[str, ndarray]) -> list[dict[str, float]]:
    """Means of a masked language model's figures by the token's count in train: 0, 1 to 9, 10 to 99, ...

    Args:
        targets: The masked tokens' ids, (n,).
        counts: How often each token occurs in train, (vocabulary,).
        figures: Numbers for each target by name, (n,).
    """
    often, groups = counts[targets], []
    low, high = 0, 0
    while low <= (often.max() if len(often) else -1):
        inside = (often >= low) & (often <= high)
        if inside.any():
            groups.append({"low": low, "high": high} | _means(inside, figures))
        low, high = high + 1, 10 * (high + 1) - 1
    return groups


def by_piece(targets: ndarray, continues: ndarray, figures: dict[str, ndarray]) -> dict[str, dict[str, float]]:
    """The same for tokens that begin a word and for those marked by `continues`, (vocabulary,)."""
    groups = {"word": ~continues[targets], "subword": continues[targets]}
    return {name: _means(inside, figures) for name, inside in groups.items() if inside.any()}


def continues_a_word(vocabulary: Sequence[str], special: set[str]) -> ndarray:
    """Which tokens continue a word, (vocabulary,), by the marks of WordPiece, BPE or SentencePiece."""
    begins = tuple(mark for mark in BEGINS if any(token.startswith(mark) for token in vocabulary))
    if any(token.startswith(CONTINUES) for token in vocabulary):
        continues = [token.startswith(CONTINUES) for token in vocabulary]
    else:
        continues = [bool(begins) and not token.startswith(begins) for token in vocabulary]
    return np.array(continues, dtype=bool) & [token not in special for token in vocabulary]


def _means(inside: ndarray, figures: dict[str, ndarray]) -> dict[str, float]:
    return {"tokens": int(inside.sum())} | {name: float(values[inside].mean()) for name, values in figures.items()}
