"""What predicted numbers are worth."""

import numpy as np


def number_scores(predicted: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Errors in the labels' unit, and correlations, from (N, 1) or (N,) and (N,).

    Returns:
        `mse`, `mae`, `r2`, `pearson` and `spearman` (equal numbers share a rank). Where all labels or all
        predictions are equal, correlations are not defined and given as 0; so is R2 where all labels are.
    """
    predicted, labels = predicted.reshape(-1).astype(np.float64), labels.astype(np.float64)
    errors, spread = predicted - labels, float(((labels - labels.mean()) ** 2).sum())
    return {
        "mse": float((errors**2).mean()),
        "mae": float(np.abs(errors).mean()),
        "r2": 1 - float((errors**2).sum()) / spread if spread else 0.0,
        "pearson": correlation(predicted, labels),
        "spearman": correlation(ranks(predicted), ranks(labels)),
    }


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's, of (N,) each; 0 if one is constant."""
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / size if size else 0.0


def ranks(values: np.ndarray) -> np.ndarray:
    """The ranks from 1 of (N,); equal values share the mean of theirs."""
    _, which, often = np.unique(values, return_inverse=True, return_counts=True)
    return (often.cumsum() - (often - 1) / 2)[which]
