"""Metrics for tags: of whole entities for B-, I- and the like, of single words for other tags."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy import ndarray

from lightning_nlp.evaluation.scores import figures

NUMBER = 50  # of sentences with wrong words to keep
_ENTITY = re.compile(r"([BIESLUM])-(.+)")
OUTSIDE = "O"


def entities(tags: Iterable[str]) -> list[tuple[int, int, str]]:
    """The entities of one sentence: first word, word after the last, type.

    Reads IOB1, IOB2, BIOES, BILOU and BMES, and violations of them, as conlleval does (Tjong Kim Sang and De
    Meulder 2003): an entity continues if the type stays the same, the word before did not end it (E, S, L, U), and
    this one does not begin another (B, S, U).
    """
    spans = list[tuple[int, int, str]]()
    before = kind = ""
    for at, tag in enumerate(tags):
        match = _ENTITY.fullmatch(tag)
        if match is None:
            before = ""
            continue
        goes_on = before in ("B", "I", "M") and match[1] in ("I", "M", "E", "L") and match[2] == kind
        start = spans.pop()[0] if goes_on else at
        before, kind = match[1], match[2]
        spans.append((start, at + 1, kind))
    return spans


def are_entities(names: Iterable[str]) -> bool:
    """Whether tags are O, B-TYPE, I-TYPE and the like, so that entities are counted and not words."""
    inside = {*names} - {OUTSIDE}
    return bool(inside) and all(map(_ENTITY.fullmatch, inside))


def types_of(names: Sequence[str]) -> list[str]:
    """What is counted: the types of entities, or the tags themselves."""
    if not are_entities(names):
        return [*names]
    return sorted({match[2] for match in map(_ENTITY.fullmatch, names) if match})


def count(targets: ndarray, predictions: ndarray, rows: ndarray, names: Sequence[str]) -> ndarray:
    """How many of each of `types_of` are right, predicted and true, (types, 3).

    Args:
        targets: Tag ids, sentence after sentence, (n,).
        predictions: Predicted tag ids, (n,).
        rows: The sentence that each word is in, (n,).
    """
    if not are_entities(names):
        parts = (targets[targets == predictions], predictions, targets)
        return np.stack([np.bincount(part, minlength=len(names)) for part in parts], axis=1)
    counts = Counter[tuple[str, int]]()
    starts = [0, *(np.flatnonzero(np.diff(rows)) + 1).tolist(), len(rows)]
    for start, end in pairwise(starts):
        theirs, ours = ({*entities(names[i] for i in part[start:end])} for part in (targets, predictions))
        for column, some in enumerate((theirs & ours, ours, theirs)):
            counts.update((kind, column) for _, _, kind in some)
    return np.array([[counts[kind, column] for column in range(3)] for kind in types_of(names)], dtype=np.int64)


def scores(counts: ndarray, names: Sequence[str]) -> dict[str, float]:
    """Precision, recall and F1: of all entities together, or the mean over the tags that occur (macro)."""
    if are_entities(names):
        return figures(*counts.sum(axis=0).tolist())
    each = [figures(*row) for row in counts.tolist() if row[1] or row[2]]
    return {name: sum(part[name] for part in each) / max(len(each), 1) for name in ("precision", "recall", "f1")}


def tags_record(outputs: dict[str, ndarray], names: list[str]) -> dict[str, Any]:
    """The record of a split's tags; in `confusion`, rows are the true tags of words.

    Args:
        outputs: `targets`, `predictions` and `rows`, each (n,), the words of a sentence in their order.
    """
    order = np.argsort(outputs["rows"], kind="stable")
    targets, predictions, rows = (outputs[name][order] for name in ("targets", "predictions", "rows"))
    confusion = np.bincount(targets * len(names) + predictions, minlength=len(names) ** 2)
    by_class = [
        {"label": kind, **figures(*row), "support": row[2], "predicted": row[1]}
        for kind, row in zip(types_of(names), count(targets, predictions, rows, names).tolist(), strict=True)
    ]
    return {
        "words": len(targets),
        "examples": len(np.unique(rows)),
        "counted": "entities" if are_entities(names) else "words",
        "labels": names,
        "confusion": confusion.reshape(len(names), len(names)).tolist(),
        "by_class": by_class,
    }


def wrong_sentences(tokenizer: Any, rows: Any, outputs: dict[str, ndarray], names: list[str]) -> list[dict[str, Any]]:
    """At most `NUMBER` sentences with wrong words, those with the most first.

    `rows[numbers]` has `input_ids` and `label` of each token; `outputs` is as for `tags_record`.
    """
    wrong = outputs["targets"] != outputs["predictions"]
    sentences = list[dict[str, Any]]()
    for row, number in Counter(sorted(outputs["rows"][wrong].tolist())).most_common(NUMBER):
        here, columns = outputs["rows"] == row, rows[[row]]
        words = joined_pieces(tokenizer, columns["input_ids"][0], columns["label"][0])
        tags = zip(words, outputs["targets"][here], outputs["predictions"][here], strict=True)
        marked = [[word, names[label], names[prediction]] for word, label, prediction in tags]
        sentences.append({"row": row, "wrong": number, "words": marked})
    return sentences


def joined_pieces(tokenizer: Any, ids: ndarray, labels: ndarray) -> list[str]:
    """The words of a row, joined from the pieces at and after each label."""
    special = {*tokenizer.all_special_ids} - {tokenizer.unk_token_id}
    starts = [*np.flatnonzero(labels >= 0).tolist(), len(ids)]
    parts = (ids[start:end].tolist() for start, end in pairwise(starts))
    return [tokenizer.decode([token for token in part if token not in special]).strip() for part in parts]
