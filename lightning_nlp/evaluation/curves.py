"""Precision against recall, and ROC: one class against the rest."""

from typing import Any

import numpy as np

POINTS = 200  # of a curve: more than a screen shows


def class_curves(scores: np.ndarray, positive: np.ndarray) -> dict[str, Any]:
    """The curves of one class, thinned to `POINTS`, and the areas below the full curves.

    All are None if every text is of the class, or none is. `scores` are its probabilities, (N,), and `positive` says
    whether a text is of it, (N,).
    """
    if positive.all() or not positive.any():
        return dict.fromkeys(("pr", "roc", "average_precision", "auc"))
    import torch
    from torchmetrics.functional.classification import (
        binary_auroc,
        binary_average_precision,
        binary_precision_recall_curve,
        binary_roc,
    )

    data = torch.as_tensor(scores, dtype=torch.float64), torch.as_tensor(positive).long()
    precision, recall, limits = (part.numpy() for part in binary_precision_recall_curve(*data, validate_args=False))
    false_rate, true_rate, cuts = (part.numpy() for part in binary_roc(*data, validate_args=False))
    precision, recall = precision[:-1], recall[:-1]  # the last point, (1, 0), has no threshold
    kept, drawn = thinned(recall, precision), thinned(false_rate, true_rate)
    return {
        "pr": {"recall": recall[kept], "precision": precision[kept], "threshold": limits[kept]},
        "roc": {"fpr": false_rate[drawn], "tpr": true_rate[drawn], "threshold": cuts[drawn]},
        "average_precision": float(binary_average_precision(*data, validate_args=False)),
        "auc": float(binary_auroc(*data, validate_args=False)),
    }


def thinned(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The indices of at most `POINTS` points of a curve, evenly spread along it, with both ends."""
    if len(x) <= POINTS:
        return np.arange(len(x))
    way = np.concatenate([[0.0], (np.abs(np.diff(x)) + np.abs(np.diff(y))).cumsum()])
    return np.unique(np.searchsorted(way, np.linspace(0, way[-1], POINTS)).clip(max=len(x) - 1))
