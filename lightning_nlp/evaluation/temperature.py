"""Temperature scaling (Guo et al. 2017): one number that calibrates a classifier's probabilities."""

import numpy as np
import torch
import torch.nn.functional as F
from numpy import ndarray

FEWEST = 50  # examples: fewer are too few to judge a probability
BOUNDS = (0.05, 20.0)  # an optimum outside is rejected: without mistakes, the best temperature is 0
BINS = 15


def fit_temperature(logits: ndarray, labels: ndarray) -> float:
    """The T that minimises the loss of `logits / T`, convex in 1 / T: the root of its slope, by bisection.

    `logits` are (N, classes), `labels` (N,), none ignored. T is rounded to 6 digits, and 1 if the examples are
    too few, not finite, perfectly separated, or all alike.
    """
    if len(labels) < FEWEST or not np.isfinite(logits).all():
        return 1.0
    logits = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    target = logits[np.arange(len(labels)), labels].mean()

    def slope(log_scale: float) -> float:  # the derivative of the loss with respect to 1 / T
        weights = np.exp(logits * np.exp(log_scale))
        return float(((weights * logits).sum(axis=1) / weights.sum(axis=1)).mean() - target)

    low, high = -np.log(BOUNDS[1]), -np.log(BOUNDS[0])
    if not slope(low) < 0 < slope(high):
        return 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return round(float(np.exp(-low)), 6)


def calibration(logits: ndarray, labels: ndarray, temperature: float) -> dict[str, float]:
    """A split's calibration error and loss before and after scaling, to 6 digits; shapes as above."""
    figures = {"temperature": temperature}
    for when, divisor in (("before", 1.0), ("after", temperature)):
        scaled = torch.from_numpy(logits.astype(np.float64) / divisor)
        figures[f"ece_{when}"] = calibration_error(probabilities(logits, divisor), labels)
        figures[f"loss_{when}"] = float(F.cross_entropy(scaled, torch.from_numpy(labels))) if len(labels) else 0.0
    return {name: round(value, 6) for name, value in figures.items()}


def probabilities(logits: ndarray, temperature: float = 1.0) -> ndarray:
    """The classes' probabilities from logits; (N, classes) both."""
    return (torch.from_numpy(logits.astype(np.float64)) / temperature).softmax(-1).numpy()


def reliability(confidence: ndarray, right: ndarray) -> list[dict[str, float]]:
    """Accuracy by confidence, in bins of equal width that exclude `low`; (N,) each."""
    bins = np.ceil(confidence * BINS).astype(int)
    groups = ((number, bins == number) for number in np.unique(bins).tolist())
    return [
        {
            "low": (number - 1) / BINS,
            "high": number / BINS,
            "examples": int(inside.sum()),
            "confidence": float(confidence[inside].mean()),
            "accuracy": float(right[inside].mean()),
        }
        for number, inside in groups
    ]


def calibration_error(probabilities: ndarray, labels: ndarray) -> float:
    """The mean |confidence - accuracy| over the bins, weighted by examples, from (N, classes) and (N,)."""
    bins = reliability(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)
    gaps = (part["examples"] * abs(part["confidence"] - part["accuracy"]) for part in bins)
    return sum(gaps) / max(len(labels), 1)
