"""An evaluation as one record of plain lists and numbers, which W&B, the report and the model card show."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from lightning_nlp.evaluation.curves import POINTS, class_curves
from lightning_nlp.evaluation.groups import by_frequency, by_length, by_piece
from lightning_nlp.evaluation.temperature import (
    calibration,
    calibration_error,
    fit_temperature,
    probabilities,
    reliability,
)
from lightning_nlp.evaluation.thresholds import choose_thresholds, figures, figures_at, positives

DIGITS = 6


def classification_record(
    logits: ndarray, labels: ndarray, lengths: ndarray, label_names: list[str], validated: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What a split's predictions are worth, as plain lists and numbers.

    `reliability_calibrated` and the thresholds of `by_class` are of calibrated probabilities, as in the export; all
    else is of the network itself. In `confusion`, rows are labels and columns are predictions.

    Args:
        logits: (N, classes).
        labels: (N,), all of them classes.
        lengths: In tokens, (N,).
        validated: The validation split's record, whose temperature and thresholds are tried on this split; None finds
            them here.
    """
    chances = probabilities(logits)
    predicted, classes = chances.argmax(axis=1), len(label_names)
    right = predicted == labels
    confusion = np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)
    temperature = fit_temperature(logits, labels) if validated is None else validated["calibration"]["temperature"]
    calibrated = probabilities(logits, temperature)
    if validated is None:
        chosen = choose_thresholds(calibrated, labels)
    else:
        chosen = _tried(validated["by_class"], calibrated, labels)
    return plain(
        {
            "examples": len(labels),
            "labels": label_names,
            "ece": calibration_error(chances, labels),
            # over all classes (Brier 1950): 0 is best, 2 is worst
            "brier": float(((chances - np.eye(classes)[labels]) ** 2).sum(axis=1).mean()) if len(labels) else 0.0,
            "confusion": confusion,
            "by_class": [
                {
                    "label": name,
                    **figures(int(confusion[i, i]), int(confusion[:, i].sum()), int(confusion[i].sum())),
                    "support": int(confusion[i].sum()),
                    **class_curves(chances[:, i], labels == i),
                    **chosen[i],
                }
                for i, name in enumerate(label_names)
            ],
            "reliability": reliability(chances.max(axis=1), right),
            "by_length": by_length(lengths, right),
            "calibration": calibration(logits, labels, temperature),
            "reliability_calibrated": reliability(calibrated.max(axis=1), right),
        }
    )


def labels_record(
    logits: ndarray, labels: ndarray, lengths: ndarray, label_names: list[str], validated: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The same for several labels a text: `labels` are 0 and 1, (N, labels).

    Precision, recall and F1 of `by_class` are at the probability 0.5, and `by_length` counts texts with exactly their
    labels.
    """
    chances, true = 1 / (1 + np.exp(-logits.astype(np.float64))), labels > 0
    chosen = choose_thresholds(chances, true) if validated is None else _tried(validated["by_class"], chances, true)
    by_class = [
        {
            "label": name,
            **figures_at(chances[:, i], true[:, i], 0.5),
            "support": int(true[:, i].sum()),
            **class_curves(chances[:, i], true[:, i]),
            **chosen[i],
        }
        for i, name in enumerate(label_names)
    ]
    right = ((chances >= 0.5) == true).all(axis=1)
    found = {"examples": len(labels), "labels": label_names, "without_labels": int((~true).all(axis=1).sum())}
    return plain({**found, "by_class": by_class, "by_length": by_length(lengths, right)})


def number_record(
    predicted: ndarray,
    labels: ndarray,
    lengths: ndarray,
    label_names: list[str],
    validated: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Of numbers, (N, 1) and (N,), what a scatter shows: at most `POINTS` pairs, evenly spread over the rows."""
    shown = slice(None, None, -(-len(labels) // POINTS) or 1)
    columns = {"labels": labels, "predictions": predicted}
    constant = [name for name, values in columns.items() if len(values) and np.ptp(values) == 0]
    found = {"examples": len(labels), "constant": constant}
    return plain({**found, "scatter": {"label": labels[shown], "prediction": predicted[shown, 0]}})


def mlm_record(targets: ndarray, figures: dict[str, ndarray], counts: ndarray, continues: ndarray) -> dict[str, Any]:
    """A masked language model's `top1`, `top5` and `loss`, of each token (n,), by groups."""
    return plain(
        {
            "masked_tokens": len(targets),
            "by_frequency": by_frequency(targets, counts, figures),
            "by_piece": by_piece(targets, continues, figures),
        }
    )


def plain(value: Any) -> Any:
    """A value for JSON: arrays as lists, numbers rounded to `DIGITS`, None for what is not finite."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, ndarray):
        return plain(value.tolist())
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value


def _tried(thresholds: list[dict[str, Any]], chances: ndarray, labels: ndarray) -> list[dict[str, Any]]:
    """What thresholds of another split give on this one."""
    tried: list[dict[str, Any]] = [{"best_f1": None, "wanted": None} for _ in thresholds]
    for i, found in enumerate(tried):
        for name in found:
            if thresholds[i].get(name):
                limit = thresholds[i][name]["threshold"]
                found[name] = {"threshold": limit} | figures_at(chances[:, i], positives(labels, i), limit)
    return tried


# by task
RECORDS: dict[str, Callable[..., dict[str, Any]]] = {
    "classification": classification_record,
    "labels": labels_record,
    "number": number_record,
}
