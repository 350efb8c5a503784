"""An evaluation as one record of plain lists and numbers, which W&B, the report and the model card show."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_nlp.evaluation.curves import class_curves
from lightning_nlp.evaluation.groups import by_frequency, by_length, by_piece, reliability
from lightning_nlp.evaluation.temperature import calibration, calibration_error, fit_temperature, probabilities
from lightning_nlp.evaluation.thresholds import choose_thresholds, figures_at

Array = NDArray[Any]
DIGITS = 6


def classification_record(
    logits: Array, labels: Array, lengths: Array, label_names: list[str], validated: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What a split's predictions are worth.

    Args:
        logits: (N, classes).
        labels: (N,), all of them classes.
        lengths: In tokens, (N,).
        validated: The validation split's record, whose temperature and thresholds are tried on this split; None finds
            them here.

    Returns:
        `examples`, `labels`, `ece` and `brier`, `confusion` (rows: the label, columns: the prediction), `by_class`,
        `reliability`, `by_length`, `calibration` and `reliability_calibrated`. That, and the thresholds of `by_class`,
        are for calibrated probabilities, as the export gives them; all else is of the network as it is.
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
                {"label": name, **_counted(confusion, i), **class_curves(chances[:, i], labels == i), **chosen[i]}
                for i, name in enumerate(label_names)
            ],
            "reliability": reliability(chances.max(axis=1), right),
            "by_length": by_length(lengths, right),
            "calibration": calibration(logits, labels, temperature),
            "reliability_calibrated": reliability(calibrated.max(axis=1), right),
        }
    )


def mlm_record(targets: Array, figures: dict[str, Array], counts: Array, continues: Array) -> dict[str, Any]:
    """What a masked language model's guesses are worth.

    Args:
        figures: `top1`, `top5` and `loss` of each, (n,).

    Returns:
        `masked_tokens`, `by_frequency` and `by_piece`.
    """
    return plain(
        {
            "masked_tokens": len(targets),
            "by_frequency": by_frequency(targets, counts, figures),
            "by_piece": by_piece(targets, continues, figures),
        }
    )


def plain(value: Any) -> Any:
    """A value as JSON has it: arrays as lists, numbers rounded to `DIGITS`, what is not finite as None."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, float):
        return round(value, DIGITS) if math.isfinite(value) else None
    return value


def _counted(confusion: Array, i: int) -> dict[str, float]:
    """A class's figures by its row and its column; 0 where it is never predicted, or never meant."""
    hits, support, stated = int(confusion[i, i]), int(confusion[i].sum()), int(confusion[:, i].sum())
    return {
        "precision": hits / max(stated, 1),
        "recall": hits / max(support, 1),
        "f1": 2 * hits / max(support + stated, 1),
        "support": support,
    }


def _tried(thresholds: list[dict[str, Any]], chances: Array, labels: Array) -> list[dict[str, Any]]:
    """What thresholds of another split give on this one."""
    found = []
    for i, entry in enumerate(thresholds):
        tried = {}
        for name in ("best_f1", "wanted"):
            limit = (entry.get(name) or {}).get("threshold")
            tried[name] = (
                None if limit is None else {"threshold": limit} | figures_at(chances[:, i], labels == i, limit)
            )
        found.append(tried)
    return found
