"""Temperature scaling (Guo et al. 2017): one number that makes a classifier's probabilities mean what they say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]

# Fewer examples say nothing about a probability, and an optimum outside of these bounds is none: of a validation
# split without a mistake, the best temperature is 0.
FEWEST = 50
BOUNDS = (0.05, 20.0)
BINS = 15


def fit_temperature(logits: Array, labels: Array) -> float:
    """The T that minimises the loss of `logits / T`; labels and their order stay as they are.

    The loss is convex in 1 / T, so its slope has one root at most, which is found by halving.

    Args:
        logits: Of the validation split, (N, classes).
        labels: (N,); a row whose label is negative counts nowhere.

    Returns:
        T, rounded to 6 digits; 1 where the examples are too few, not finite, all told apart, or alike.
    """
    logits, labels = _counted(logits, labels)
    if len(labels) < FEWEST or not np.isfinite(logits).all():
        return 1.0
    logits = logits - logits.max(axis=1, keepdims=True)
    target = logits[np.arange(len(labels)), labels].mean()

    def slope(log_scale: float) -> float:
        """The derivative of the loss by 1 / T; the target's share does not depend on T."""
        weights = np.exp(logits * np.exp(log_scale))
        return float(((weights * logits).sum(axis=1) / weights.sum(axis=1)).mean() - target)

    low, high = -np.log(BOUNDS[1]), -np.log(BOUNDS[0])
    if not slope(low) < 0 < slope(high):
        return 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return round(float(np.exp(-low)), 6)


def calibration(logits: Array, labels: Array, temperature: float) -> dict[str, float]:
    """What a temperature does to a split: the calibration error and the loss, without it and with it.

    Args:
        logits: (N, classes).
        labels: (N,); a row whose label is negative counts nowhere.
        temperature: Fitted on the validation split, whichever split this is.

    Returns:
        `temperature`, `ece_before`, `ece_after`, `loss_before` and `loss_after`, rounded to 6 digits.
    """
    logits, labels = _counted(logits, labels)
    figures = {"temperature": temperature}
    scaled = {"before": probabilities(logits), "after": probabilities(logits, temperature)}
    figures |= {f"ece_{when}": calibration_error(found, labels) for when, found in scaled.items()}
    for when, divisor in (("before", 1.0), ("after", temperature)):
        figures[f"loss_{when}"] = _loss(logits / divisor, labels)
    return {name: round(value, 6) for name, value in figures.items()}


def probabilities(logits: Array, temperature: float = 1.0) -> NDArray[np.float64]:
    """The probability of each class, (N, classes), from logits of that shape."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def calibration_error(probabilities: Array, labels: Array) -> float:
    """The expected calibration error: how far confidence and accuracy lie apart, over bins of equal width.

    Args:
        probabilities: (N, classes).
        labels: (N,).

    Returns:
        The mean distance, weighted by the examples in each of the bins; 0 without examples.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.ceil(confidence * BINS).astype(int)  # the n-th bin is ((n - 1) / 15, n / 15]
    gaps = np.bincount(bins, weights=confidence - right, minlength=BINS + 1)
    return float(np.abs(gaps).sum() / max(len(labels), 1))


def _counted(logits: Array, labels: Array) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    whole: NDArray[np.int64] = np.asarray(labels, dtype=np.int64)
    return np.asarray(logits, dtype=np.float64)[whole >= 0], whole[whole >= 0]


def _loss(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The mean cross-entropy; 0 without examples."""
    highest = logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(logits - highest).sum(axis=1)) + highest[:, 0] - logits[np.arange(len(labels)), labels]
    return float(losses.mean()) if len(labels) else 0.0
