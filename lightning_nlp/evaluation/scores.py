"""Metrics of several labels per text, and of numbers."""

import numpy as np
from numpy import ndarray


def figures(right: int, predicted: int, support: int) -> dict[str, float]:
    """Precision, recall and F1 from counts, to 6 digits; 0 if nothing is predicted or nothing occurs."""
    scores = {"precision": right / max(predicted, 1), "recall": right / max(support, 1)}
    scores["f1"] = 2 * right / max(support + predicted, 1)
    return {name: round(value, 6) for name, value in scores.items()}


def ranked(scores: ndarray, positive: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    """The distinct scores, highest first, and how many positives, and how many texts, reach each."""
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], positive[order].cumsum()
    last = np.append(np.diff(scores) != 0, True)[: len(scores)]  # of equal scores
    return scores[last], right[last], np.arange(1, len(order) + 1)[last]


def average_precision(scores: ndarray, positive: ndarray) -> float:
    """The mean precision over the positives, at the score of each; 0 without one; (N,) both."""
    _, right, taken = ranked(scores, positive)
    return float((right / taken * np.diff(right, prepend=0)).sum() / max(right[-1], 1))


def label_scores(logits: ndarray, labels: ndarray) -> dict[str, float]:
    """F1, exact matches and average precision, where a probability of at least 0.5 predicts a label.

    Args:
        logits: (N, labels).
        labels: 0 and 1, (N, labels).

    Returns:
        `f1` (macro; a label without positives has 0, as in scikit-learn), `f1_micro`, `subset_accuracy` (texts with
        exactly their labels) and `average_precision` (macro).
    """
    predicted, true = logits >= 0, labels > 0
    right, both = (predicted & true).sum(axis=0), predicted.sum(axis=0) + true.sum(axis=0)
    precisions = [average_precision(logits[:, i], true[:, i]) for i in range(true.shape[1])]
    return {
        "f1": float((2 * right / np.maximum(both, 1)).mean()),
        "f1_micro": float(2 * right.sum() / max(both.sum(), 1)),
        "subset_accuracy": float((predicted == true).all(axis=1).mean()),
        "average_precision": float(np.mean(precisions)),
    }


def number_scores(predicted: ndarray, labels: ndarray) -> dict[str, float]:
    """Errors in the labels' unit, and correlations, from (N, 1) or (N,) and (N,).

    Returns:
        `mse`, `mae`, `r2`, `pearson` and `spearman`; 0 if undefined because all labels or predictions are equal.
    """
    predicted, labels = predicted.reshape(-1).astype(np.float64), labels.astype(np.float64)
    errors, spread = predicted - labels, float(((labels - labels.mean()) ** 2).sum())
    return {
        "mse": float((errors**2).mean()),
        "mae": float(np.abs(errors).mean()),
        "r2": 1 - float((errors**2).sum()) / spread if spread else 0.0,
        "pearson": _correlation(predicted, labels),
        "spearman": _correlation(_ranks(predicted), _ranks(labels)),
    }


def _correlation(one: ndarray, other: ndarray) -> float:
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / size if size else 0.0


def _ranks(values: ndarray) -> ndarray:
    """From 1; equal values share the mean of their ranks."""
    _, which, often = np.unique(values, return_inverse=True, return_counts=True)
    return (often.cumsum() - (often - 1) / 2)[which]
