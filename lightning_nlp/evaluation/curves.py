"""One class against the rest: precision and recall, ROC, and the thresholds chosen on them."""

from typing import Any

import numpy as np
from numpy import ndarray

from lightning_nlp.evaluation.scores import average_precision, figures, ranked

POINTS = 200  # per curve: more than a screen shows
WANTED_PRECISION = 0.95


def class_curves(scores: ndarray, positive: ndarray) -> dict[str, Any]:
    """One class's curves, thinned to `POINTS`, and the areas under the full ones; None without a rest.

    `scores` are its probabilities, (N,), and `positive` marks its texts, (N,).
    """
    if positive.all() or not positive.any():
        return dict.fromkeys(("pr", "roc", "average_precision", "auc"))
    limits, right, taken = ranked(scores, positive)
    precision, recall = (right / taken)[::-1], (right / right[-1])[::-1]
    kept = thinned(recall, precision)
    false_rate = np.append(0, (taken - right) / (len(positive) - right[-1]))
    true_rate = np.append(0, right / right[-1])
    drawn = thinned(false_rate, true_rate)
    return {
        "pr": {"recall": recall[kept], "precision": precision[kept], "threshold": limits[::-1][kept]},
        "roc": {"fpr": false_rate[drawn], "tpr": true_rate[drawn], "threshold": np.append(1, limits)[drawn]},
        "average_precision": average_precision(scores, positive),
        "auc": float(np.trapezoid(true_rate, false_rate)),
    }


def thinned(x: ndarray, y: ndarray) -> ndarray:
    """The indices of at most `POINTS` points of a curve, evenly spread along it, with both ends."""
    if len(x) <= POINTS:
        return np.arange(len(x))
    way = np.concatenate([[0.0], (np.abs(np.diff(x)) + np.abs(np.diff(y))).cumsum()])
    return np.unique(np.searchsorted(way, np.linspace(0, way[-1], POINTS)).clip(max=len(x) - 1))


def choose_thresholds(chances: ndarray, true: ndarray, wanted: float = WANTED_PRECISION) -> list[dict[str, Any]]:
    """Choose for each class the threshold with the best F1, and the one with the highest recall at a precision.

    A threshold is the midpoint between the lowest probability above it and the highest below it (or 0), since other
    texts will fall into that gap. `true` marks the texts of each class; it and `chances` are (N, classes).

    Returns:
        For each class `best_f1` with its `threshold`, `precision`, `recall` and `f1`, and `wanted` with the
        `precision`, its `threshold` and `recall`; None if the class does not occur or never reaches the precision.
    """
    return [_choose(chances[:, i], true[:, i], wanted) for i in range(chances.shape[1])]


def figures_at(scores: ndarray, positive: ndarray, threshold: float) -> dict[str, float]:
    """Precision, recall and F1 of predicting scores >= threshold; `scores` and `positive` are (N,)."""
    taken = scores >= threshold
    return figures(int((taken & positive).sum()), int(taken.sum()), int(positive.sum()))


def _choose(scores: ndarray, positive: ndarray, wanted: float) -> dict[str, Any]:
    support = int(positive.sum())
    if not support:
        return {"best_f1": None, "wanted": None}
    scores, right, taken = ranked(scores, positive)
    middles = (scores + np.append(scores[1:], 0)) / 2

    def at(i: int) -> dict[str, float]:
        threshold = float(np.floor(middles[i] * 1e6) / 1e6)  # rounded up, it could exceed a score
        return {"threshold": threshold} | figures(int(right[i]), int(taken[i]), support)

    best, reached = at(int((2 * right / (taken + support)).argmax())), np.flatnonzero(right / taken >= wanted)
    if not len(reached):
        return {"best_f1": best, "wanted": None}
    lowest = at(int(reached[-1]))
    return {"best_f1": best, "wanted": {name: lowest[name] for name in ("threshold", "recall")} | {"precision": wanted}}
