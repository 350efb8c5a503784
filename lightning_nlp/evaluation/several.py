"""What predictions of several labels a text are worth."""

import numpy as np


def label_scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """F1, exact matches and average precision, where a probability from 0.5 on counts as given.

    Args:
        logits: (N, labels).
        labels: 0 and 1, (N, labels).

    Returns:
        `f1` (macro; a label without positives has 0, as in scikit-learn), `f1_micro`, `subset_accuracy` (of
        texts with exactly their labels) and `average_precision` (macro).
    """
    given, true = logits >= 0, labels > 0
    right, both = (given & true).sum(axis=0), given.sum(axis=0) + true.sum(axis=0)
    precisions = [average_precision(logits[:, i], true[:, i]) for i in range(true.shape[1])]
    return {
        "f1": float((2 * right / np.maximum(both, 1)).mean()),
        "f1_micro": float(2 * right.sum() / max(both.sum(), 1)),
        "subset_accuracy": float((given == true).all(axis=1).mean()),
        "average_precision": float(np.mean(precisions)),
    }


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """The mean precision over the positives, at the score of each; 0 without one; (N,) both."""
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], positive[order].cumsum()
    last = np.append(np.diff(scores) != 0, True)  # equal scores are taken together
    right, taken = right[last], np.arange(1, len(order) + 1)[last]
    return float((right / taken * np.diff(right, prepend=0)).sum() / max(right[-1], 1))
