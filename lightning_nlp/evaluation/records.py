"""An evaluation as one record of plain lists and numbers, which W&B, the report and the model card show."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from lightning_nlp.evaluation.curves import POINTS, choose_thresholds, class_curves, figures_at
from lightning_nlp.evaluation.groups import by_frequency, by_length, by_piece
from lightning_nlp.evaluation.scores import figures
from lightning_nlp.evaluation.temperature import (
    calibration,
    calibration_error,
    fit_temperature,
    probabilities,
    reliability,
)

Record = dict[str, Any]
DIGITS = 6


def classification_record(
    logits: ndarray, labels: ndarray, lengths: ndarray, label_names: list[str], validated: Record | None = None
) -> Record:
    """The record of a split's predictions; in `confusion`, rows are labels and columns are predictions.

    `reliability_calibrated` and the thresholds refer to calibrated probabilities, as in the export; all else to the
    network itself.

    Args:
        logits: (N, classes).
        labels: (N,), all of them classes.
        lengths: In tokens, (N,).
        validated: The validation's record, to apply its temperature and thresholds; None chooses them here.
    """
    chances = probabilities(logits)
    predicted, classes = chances.argmax(axis=1), np.arange(len(label_names))
    right, true = predicted == labels, labels[:, None] == classes
    temperature = fit_temperature(logits, labels) if validated is None else validated["calibration"]["temperature"]
    calibrated = probabilities(logits, temperature)
    confusion = np.bincount(labels * len(classes) + predicted, minlength=len(classes) ** 2)
    return plain(
        {
            "examples": len(labels),
            "labels": label_names,
            "ece": calibration_error(chances, labels),
            # over all classes (Brier 1950): 0 is best, 2 is worst
            "brier": float(((chances - true) ** 2).sum(axis=1).mean()) if len(labels) else 0.0,
            "confusion": confusion.reshape(len(classes), len(classes)),
            "by_class": _by_class(
                label_names, chances, true, predicted[:, None] == classes, _thresholds(calibrated, true, validated)
            ),
            "reliability": reliability(chances.max(axis=1), right),
            "by_length": by_length(lengths, right),
            "calibration": calibration(logits, labels, temperature),
            "reliability_calibrated": reliability(calibrated.max(axis=1), right),
        }
    )


def labels_record(
    logits: ndarray, labels: ndarray, lengths: ndarray, label_names: list[str], validated: Record | None = None
) -> Record:
    """The same for several labels per text: `labels` are 0 and 1, (N, labels).

    Precision, recall and F1 of `by_class` are at probability 0.5, and `by_length` counts texts with exactly their
    labels.
    """
    chances, true = 1 / (1 + np.exp(-logits.astype(np.float64))), labels > 0
    predicted = chances >= 0.5
    return plain(
        {
            "examples": len(labels),
            "labels": label_names,
            "without_labels": int((~true).all(axis=1).sum()),
            "by_class": _by_class(label_names, chances, true, predicted, _thresholds(chances, true, validated)),
            "by_length": by_length(lengths, (predicted == true).all(axis=1)),
        }
    )


def number_record(
    predicted: ndarray, labels: ndarray, lengths: ndarray, label_names: list[str], validated: Record | None = None
) -> Record:
    """A scatter of numbers, (N, 1) and (N,): at most `POINTS` pairs, evenly spread over the rows."""
    sample = slice(None, None, -(-len(labels) // POINTS) or 1)
    columns = {"labels": labels, "predictions": predicted}
    constant = [name for name, values in columns.items() if len(values) and np.ptp(values) == 0]
    scatter = {"label": labels[sample], "prediction": predicted[sample, 0]}
    return plain({"examples": len(labels), "constant": constant, "scatter": scatter})


def mlm_record(targets: ndarray, figures: dict[str, ndarray], counts: ndarray, continues: ndarray) -> Record:
    """A masked language model's `top1`, `top5` and `loss`, per token (n,), by group."""
    groups = {
        "by_frequency": by_frequency(targets, counts, figures),
        "by_piece": by_piece(targets, continues, figures),
    }
    return plain({"masked_tokens": len(targets)} | groups)


def plain(value: Any) -> Any:
    """Convert a value for JSON: arrays to lists, numbers rounded to `DIGITS`, non-finite ones to None."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple | ndarray):
        return [plain(part) for part in (value.tolist() if isinstance(value, ndarray) else value)]
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value


def _by_class(
    names: list[str], chances: ndarray, true: ndarray, reached: ndarray, thresholds: list[Record]
) -> list[Record]:
    """The figures of each class; all arrays are (N, classes)."""
    right, predicted, support = (part.sum(axis=0).tolist() for part in (reached & true, reached, true))
    return [
        {"label": name, **figures(right[i], predicted[i], support[i]), "support": support[i]}
        | class_curves(chances[:, i], true[:, i])
        | thresholds[i]
        for i, name in enumerate(names)
    ]


def _thresholds(chances: ndarray, true: ndarray, validated: Record | None) -> list[Record]:
    if validated is None:
        return choose_thresholds(chances, true)
    tried: list[Record] = [{"best_f1": None, "wanted": None} for _ in validated["by_class"]]
    for i, part in enumerate(validated["by_class"]):
        for name in tried[i]:
            if part.get(name):
                limit = part[name]["threshold"]
                tried[i][name] = {"threshold": limit} | figures_at(chances[:, i], true[:, i], limit)
    return tried


# by task
RECORDS: dict[str, Callable[..., Record]] = {
    "classification": classification_record,
    "labels": labels_record,
    "number": number_record,
}
