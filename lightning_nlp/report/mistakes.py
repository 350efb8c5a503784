"""What a classifier confuses, and which words drove it."""

import math
from typing import Any

MOST_WORDS = 400  # of a mistake's text: the page stays small
STRENGTHS = 4
MOST_CLASSES, MOST_CONFUSED = 12, 20  # in a confusion matrix; pairs shown instead of a larger one


def confusion(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The confusion matrix's rows; each cell with its share of the row, and how dark it is."""
    rows = []
    for label, counts in zip(record["labels"], record["confusion"], strict=True):
        total = max(sum(counts), 1)
        cells = [{"count": count, "share": count / total, "shade": round(4 * count / total)} for count in counts]
        rows.append({"label": label, "cells": cells})
    return rows


def confused(record: dict[str, Any]) -> list[tuple[str, str, int]]:
    """The most frequent confusions, for a matrix that is too large: label, prediction, number of texts."""
    labels = record["labels"]
    found = [
        (label, other, count)
        for label, counts in zip(labels, record["confusion"], strict=True)
        for other, count in zip(labels, counts, strict=True)
        if label != other and count
    ]
    return sorted(found, key=lambda entry: -entry[2])[:MOST_CONFUSED]


def mistake(entry: dict[str, Any]) -> dict[str, Any]:
    """A wrong prediction whose words are marked by how strongly they drove it, from 0 to `STRENGTHS`."""
    marked = []
    for word, score in entry["words"][:MOST_WORDS]:
        strength = math.ceil(abs(score) * STRENGTHS) if abs(score) >= 0.15 else 0
        marked.append({"word": word, "strength": strength, "side": "for" if score > 0 else "against"})
    scores: dict[str, float] = {}
    for word, score in entry["words"]:
        if any(letter.isalnum() for letter in word):
            scores[word] = max(score, scores.get(word, score))
    drove = [pair for pair in sorted(scores.items(), key=lambda pair: -pair[1])[:4] if pair[1] >= 0.05]
    return {**entry, "marked": marked, "cut": len(entry["words"]) > MOST_WORDS, "drove": drove}
