"""From which probability on a class is taken for given: one class against all others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

WANTED_PRECISION = 0.95


def choose_thresholds(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], wanted: float = WANTED_PRECISION
) -> list[dict[str, Any]]:
    """For each class the threshold with the best F1, and the one that reaches a precision with the most recall.

    Args:
        probabilities: (N, classes).
        labels: (N,).
        wanted: The precision.

    Returns:
        For each class `best_f1` with its `threshold`, `precision`, `recall` and `f1`, and `wanted` with the `precision`
        that is wanted, its `threshold` and `recall`; None where the class does not occur, or never so surely.
    """
    return [_choose(probabilities[:, i], labels == i, wanted) for i in range(probabilities.shape[1])]


def figures_at(scores: NDArray[np.float64], positive: NDArray[np.bool_], threshold: float) -> dict[str, float]:
    """Precision, recall and F1 of "the score is at least the threshold", to 6 digits; 0 where nothing is.

    `scores` and `positive` are (N,).
    """
    taken = scores >= threshold
    right, stated, there = int((taken & positive).sum()), int(taken.sum()), int(positive.sum())
    figures = {"precision": right / max(stated, 1), "recall": right / max(there, 1)}
    figures["f1"] = 2 * right / max(stated + there, 1)
    return {name: round(value, 6) for name, value in figures.items()}


def _choose(scores: NDArray[np.float64], positive: NDArray[np.bool_], wanted: float) -> dict[str, Any]:
    there = int(positive.sum())
    if not there:
        return {"best_f1": None, "wanted": None}
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], positive[order].cumsum()
    last = np.append(np.diff(scores) != 0, True)  # equal scores are taken together
    scores, right, stated = scores[last], right[last], np.arange(1, len(order) + 1)[last]
    precision, f1 = right / stated, 2 * right / (stated + there)
    best = int(f1.argmax())
    reached = np.flatnonzero(precision >= wanted)
    lowest = int(reached[-1]) if len(reached) else None
    return {
        "best_f1": {
            "threshold": _down(scores[best]),
            "precision": round(float(precision[best]), 6),
            "recall": round(float(right[best] / there), 6),
            "f1": round(float(f1[best]), 6),
        },
        "wanted": None
        if lowest is None
        else {
            "precision": wanted,
            "threshold": _down(scores[lowest]),
            "recall": round(float(right[lowest] / there), 6),
        },
    }


def _down(score: float) -> float:
    """Rounded to 6 digits, and never up: the example that the threshold was taken from must still reach it."""
    return float(np.floor(score * 1e6) / 1e6)
