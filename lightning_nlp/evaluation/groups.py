"""Where a model is good: by the length of a text, by the frequency of a token, on words and on subwords."""

from collections.abc import Sequence

import numpy as np

LENGTH_GROUPS = 8
CONTINUES, BEGINS = "##", ("Ġ", "▁")  # the marks of a token that continues a word, or begins one


def by_length(lengths: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    """Accuracy by length in tokens, in at most `LENGTH_GROUPS` groups of about equal size; (N,) each.

    Returns:
        For each group `low` and `high` (both inclusive), `examples` and `accuracy`.
    """
    if not len(lengths):
        return []
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, LENGTH_GROUPS + 1)).astype(int))
    group = np.searchsorted(edges[1:-1], lengths, side="right")  # the last group includes its upper edge
    groups = ((lengths[inside], right[inside]) for inside in (group == number for number in np.unique(group)))
    return [
        {"low": int(own.min()), "high": int(own.max()), "examples": len(own), "accuracy": float(hits.mean())}
        for own, hits in groups
    ]


def by_frequency(targets: np.ndarray, counts: np.ndarray, figures: dict[str, np.ndarray]) -> list[dict[str, float]]:
    """Figures of a masked language model by a token's count in train: 0, 1 to 9, 10 to 99, and so on.

    Args:
        targets: The masked tokens' ids, (n,).
        counts: How often each token occurs in train, (vocabulary,).
        figures: By name, a number for each target, (n,).

    Returns:
        For each group with tokens `low`, `high` (both inclusive), `tokens`, and the mean of each figure.
    """
    often, groups = counts[targets], []
    low, high = 0, 0
    while low <= (often.max() if len(often) else -1):
        inside = (often >= low) & (often <= high)
        if inside.any():
            groups.append({"low": low, "high": high} | _means(inside, figures))
        low, high = high + 1, 10 * (high + 1) - 1
    return groups


def by_piece(targets: np.ndarray, continues: np.ndarray, figures: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """The same for tokens that begin a word (`word`) and that continue one (`subword`).

    Args:
        continues: Whether each token continues a word, (vocabulary,).
    """
    subword = continues[targets]
    groups = {"word": ~subword, "subword": subword}
    return {name: _means(inside, figures) for name, inside in groups.items() if inside.any()}


def continues_a_word(vocabulary: Sequence[str], special: set[str]) -> np.ndarray:
    """Which tokens continue a word, (vocabulary,): by the marks of WordPiece, BPE or SentencePiece."""
    wordpiece = any(token.startswith(CONTINUES) for token in vocabulary)
    begins = tuple(mark for mark in BEGINS if any(token.startswith(mark) for token in vocabulary))

    def goes_on(token: str) -> bool:
        return token.startswith(CONTINUES) if wordpiece else bool(begins) and not token.startswith(begins)

    return np.array([token not in special and goes_on(token) for token in vocabulary], dtype=bool)


def _means(inside: np.ndarray, figures: dict[str, np.ndarray]) -> dict[str, float]:
    return {"tokens": int(inside.sum())} | {name: float(values[inside].mean()) for name, values in figures.items()}
