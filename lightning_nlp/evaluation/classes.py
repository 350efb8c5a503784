"""Metrics for one class per text."""

from typing import Any

from torchmetrics import MetricCollection, classification

from lightning_nlp.evaluation import IGNORE_INDEX


def class_scores(number: int) -> MetricCollection:
    """Metrics, updated with logits (N, classes) and labels (N,); macro averages leave out classes that never occur."""
    settings: dict[str, Any] = {"num_classes": number, "ignore_index": IGNORE_INDEX, "validate_args": False}
    macro = settings | {"average": "macro", "zero_division": 0}
    return MetricCollection(
        {
            "accuracy": classification.MulticlassAccuracy(average="micro", **settings),
            "precision": classification.MulticlassPrecision(**macro),
            "recall": classification.MulticlassRecall(**macro),
            "f1": classification.MulticlassF1Score(**macro),
        }
    )
