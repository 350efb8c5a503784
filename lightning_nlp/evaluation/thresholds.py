"""The probability from which a text counts as of a class: one class against the rest."""

import numpy as np

WANTED_PRECISION = 0.95
Figures = dict[str, float]


def choose_thresholds(
    probabilities: np.ndarray, labels: np.ndarray, wanted: float = WANTED_PRECISION
) -> list[dict[str, Figures | None]]:
    """For each class the threshold with the best F1, and the one with the most recall at a precision.

    `probabilities` are (N, classes), `labels` as for `positives`; `wanted` is the precision.

    Returns:
        For each class `best_f1` with its `threshold`, `precision`, `recall` and `f1`, and `wanted` with the
        `precision`, its `threshold` and `recall`; None if the class does not occur, or never reaches it.
    """
    return [_choose(probabilities[:, i], positives(labels, i), wanted) for i in range(probabilities.shape[1])]


def positives(labels: np.ndarray, number: int) -> np.ndarray:
    """Which texts are of a class, (N,): `labels` are classes (N,), or 0 and 1 for each label (N, labels)."""
    return labels == number if labels.ndim == 1 else labels[:, number] > 0


def figures_at(scores: np.ndarray, positive: np.ndarray, threshold: float) -> Figures:
    """Precision, recall and F1 of "the score is at least the threshold"; `scores` and `positive` are (N,)."""
    taken = scores >= threshold
    return figures(int((taken & positive).sum()), int(taken.sum()), int(positive.sum()))


def figures(right: int, predicted: int, support: int) -> Figures:
    """Precision, recall and F1 from counts, to 6 digits; 0 where nothing is predicted, or nothing occurs."""
    found = {"precision": right / max(predicted, 1), "recall": right / max(support, 1)}
    found["f1"] = 2 * right / max(support + predicted, 1)
    return {name: round(value, 6) for name, value in found.items()}


def _choose(scores: np.ndarray, positive: np.ndarray, wanted: float) -> dict[str, Figures | None]:
    support = int(positive.sum())
    if not support:
        return {"best_f1": None, "wanted": None}
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], positive[order].cumsum()
    last = np.append(np.diff(scores) != 0, True)  # equal scores are taken together
    scores, right, predicted = scores[last], right[last], np.arange(1, len(order) + 1)[last]
    reached = np.flatnonzero(right / predicted >= wanted)

    def at(i: int) -> Figures:
        # rounded down, so that the example it comes from still reaches it
        threshold = float(np.floor(scores[i] * 1e6) / 1e6)
        return {"threshold": threshold} | figures(int(right[i]), int(predicted[i]), support)

    best = at(int((2 * right / (predicted + support)).argmax()))
    if not len(reached):
        return {"best_f1": best, "wanted": None}
    lowest = at(int(reached[-1]))
    return {"best_f1": best, "wanted": {name: lowest[name] for name in ("threshold", "recall")} | {"precision": wanted}}
