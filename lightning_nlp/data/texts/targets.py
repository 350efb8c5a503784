"""What a label is: one class, several labels or a number; missing labels, and suspicious classes."""

import contextlib
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

import numpy as np

from lightning_nlp.data.settings import LabelForm
from lightning_nlp.data.texts.columns import as_label, plain_digits, plain_label
from lightning_nlp.data.texts.normalize import fold
from lightning_nlp.data.texts.sources import Row, Source, numbered
from lightning_nlp.errors import UserError

# labels that count as missing, in any case, unless `missing_labels` names others
MISSING = tuple("nan none null na n/a n.a. <na> #n/a #na ? - -- \u2013 \u2014 \u2212".split())
_ID_NUMBER = re.compile(r"[+-]?\d{1,18}")
_MARKS = re.compile(r"[\s_.,:;!?'\"\u2019()-]+")
DECIDING_ROWS = 1000
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"([+-]?\d{1,1000})\.?0*", re.ASCII)
LARGEST = 1e15  # number accepted: its square must fit single precision
FLAGS = {"0": 0, "1": 1, "false": 0, "true": 1}


def decided_form(form: LabelForm, rows: Callable[[], Iterator[Row]]) -> LabelForm:
    """A form with the problem that the first rows show, if none was asked for; their labels are raw cells.

    Whole numbers are classes, as 0.0 is, which pandas writes for 0 where values are missing.
    """
    if form.problem != "auto":
        return form
    cells: list[Any] = []
    with contextlib.suppress(UserError):  # raised again when all is read
        cells += (row.label for row in islice(rows(), DECIDING_ROWS))
    if any(isinstance(cell, list) for cell in cells):
        return replace(form, problem="labels", why="the label column has lists")
    known = (label for label in map(plain_label, cells) if not is_missing(label, form.missing))
    labels = [plain_digits(label) for label in known if label]
    if all(map(_NUMBER.fullmatch, labels)) and not all(map(_WHOLE.fullmatch, labels)):
        return replace(form, problem="number", why="the label column has fractions")
    return replace(form, problem="classes")


def read_label(form: LabelForm, cell: Any, where: str) -> str | None:
    """The label in a cell, or in those of several columns; None or the word for it if it is missing.

    Several labels become a JSON list of names, and a number its `repr`, so that later steps handle both like
    the name of a class.
    """
    if form.problem == "classes":
        return as_label(cell, where)
    if form.problem == "tags":
        return _tags(cell, where)
    if form.columns:
        return _of_columns(form, cell, where)
    if not isinstance(cell, list):
        word = plain_label(cell)
        if is_missing(word, form.missing) and not (form.separator and word is None and isinstance(cell, str)):
            return word
    return _number(cell, where) if form.problem == "number" else _labels(form, cell, where)


def names_in(form: LabelForm, label: str) -> list[str]:
    """The names in a label that `read_label` returned; none in a number."""
    if form.problem == "labels":
        return list(json.loads(label))
    if form.problem == "tags":
        return label.split(" ")
    return [label] if form.problem == "classes" else []


def label_columns(form: LabelForm, labels: list[str], names: list[str] | None) -> dict[str, np.ndarray]:
    """Turn the labels that `read_label` returned for a split into columns of numbers.

    Returns:
        `label`: the class's number, int64; the number, float64; or the numbers of the labels or tags, arrays of
        int32, with a hash of them as `tags`, int64.
    """
    if names is None:
        return {"label": np.array(labels, dtype=np.float64)}
    ids = {name: number for number, name in enumerate(names)}
    if form.problem == "classes":
        return {"label": np.array([ids[label] for label in labels], dtype=np.int64)}
    digests = b"".join(hashlib.blake2b(label.encode(), digest_size=8).digest() for label in labels)
    lists = (np.array([ids[name] for name in names_in(form, label)], dtype=np.int32) for label in labels)
    return {"tags": np.frombuffer(digests, "<i8"), "label": np.fromiter(lists, dtype=object, count=len(labels))}


def _of_columns(form: LabelForm, cells: list[Any], where: str) -> str | None:
    labels = list[str]()
    for name, cell in zip(form.columns or (), cells, strict=True):
        value = as_label(cell, where)
        if is_missing(value, form.missing):
            return None
        if (flag := FLAGS.get(str(value).casefold())) is None:
            what = f"The column {name!r} has {str(value)[:40]!r}, not 0 or 1: {where}"
            raise UserError(f"{what}; correct it, or remove {name} from --data.label_column.")
        labels += [name] * flag
    return _as_json(labels)


def _labels(form: LabelForm, cell: Any, where: str) -> str:
    if form.separator is not None:
        if not isinstance(cell, str):
            what = f"The label is a {type(cell).__name__} ({str(cell)[:40]})"
            raise UserError(f"{what}, and --data.label_separator is for strings: {where}; leave it out.")
        cell = cell.split(form.separator) if fold(cell) else []
    labels = [as_label(name, where) for name in (cell if isinstance(cell, list) else [cell])]
    if None in labels:
        raise UserError(f"A label of {str(cell)[:60]} is empty: {where}; remove it or name it.")
    return _as_json(filter(None, labels))


def _tags(cell: Any, where: str) -> str | None:
    if not isinstance(cell, list | None):
        what = f"The tags are {cell!r:.60}, not a list of strings"
        raise UserError(f"{what}: {where}; give another --data.label_column.")
    for tag in cell or []:
        if isinstance(tag, int | float):
            what = f"The tags are numbers without names ({str(cell)[:40]})"
            cure = "write names, or give parquet or a folder written by `datasets` whose features have them"
            raise UserError(f"{what}: {where}; {cure}.")
        if not isinstance(tag, str) or tag.split() != [tag]:
            raise UserError(f"The tag {tag!r} of {str(cell)[:60]} is not a name: {where}; write one without spaces.")
    return " ".join(cell or []) or None


def label_name(source: Source, row: Row) -> str | None:
    """The name of a row's class, or its labels or number as a string; None where the label is missing."""
    if row.label is None or is_missing(row.label, source.form.missing):
        return None
    for name in names_in(source.form, row.label):
        if source.label_names is not None and name not in source.label_names:
            raise UserError(
                f"The label {name!r} is not one of {', '.join(source.label_names)}: {row.where}; correct it, or "
                f"give another --data.label_column."
            )
    return row.label


def _number(cell: Any, where: str) -> str:
    plain = plain_digits(plain_label(cell) or "")
    if not _NUMBER.fullmatch(plain) or abs(float(plain)) > LARGEST:
        cure = "correct it (with a decimal point), or give --data.problem classes"
        what = f"The label {str(cell)[:40]!r} is not a number from -{LARGEST:g} to {LARGEST:g}"
        raise UserError(f"{what}: {where}; {cure}.")
    return repr(float(plain) + 0.0)  # without the sign of a zero


def _as_json(names: Iterable[str]) -> str:
    return json.dumps(sorted({*names}), ensure_ascii=False)


def label_counts(labels: Sequence[Any], names: list[str] | None) -> dict[str, Any]:
    """Statistics of a split's labels: `class_counts`, or for numbers `mean`, `std`, `low` and `high`."""
    if names is not None:
        numbers = chain.from_iterable(labels) if isinstance(labels[0], list) else labels
        return {"class_counts": np.bincount([*numbers], minlength=len(names)).tolist()}
    own = np.array(labels)
    return {"mean": own.mean().item(), "std": own.std().item(), "low": own.min().item(), "high": own.max().item()}


def is_missing(label: str | None, words: Iterable[str] | None) -> bool:
    """Whether a label is missing: None, or one of `words` (None: `MISSING`)."""
    return label is None or label.casefold() in (MISSING if words is None else words)


def in_order(labels: Iterable[str]) -> list[str]:
    """The distinct labels in the order of their ids: by number if all are numbers."""
    distinct = {*labels}
    numeric = all(map(_ID_NUMBER.fullmatch, distinct))
    return sorted(distinct, key=lambda label: (int(label) if numeric else 0, label))


def ask_about_minus_one(known: Iterable[str], missing: list[str]) -> None:
    """Raise a UserError if the labels are -1, 0, 1, ...: -1 may be a class, or missing like `missing`."""
    others = {*known} - {"-1"}
    if "-1" in known and others == {*map(str, range(len(others)))}:
        words = json.dumps([-1, *missing], ensure_ascii=False)
        raise UserError(
            f"There is a label -1 besides 0 to {len(others) - 1}: if it is a missing label, give --data.missing_labels "
            f"'{words}' and --data.drop_incomplete true; if it is a class, --data.missing_labels '[]'."
        )


def label_notes(counts: Counter[str]) -> list[str]:
    """Notes about labels that look wrong."""
    notes, alike = list[str](), dict[str, dict[str, int]]()
    for label, number in counts.items():
        bare = (label[0] + _MARKS.sub("", label[1:])).casefold().lstrip("0")
        alike.setdefault(bare, {})[label] = number
    if several := [numbered(spellings) for spellings in alike.values() if len(spellings) > 1]:
        notes.append(f"Classes differ only in case, marks or zeros: {'; '.join(several)}. Correct those that are one.")
    for mark in "|;,":
        parts = Counter(chain.from_iterable({*label.split(mark)} for label in counts))
        joined = {name: n for name, n in counts.items() if mark in name and min(parts[p] for p in name.split(mark)) > 1}
        if joined:
            notes.append(
                f"{numbered(joined)} look like several labels joined by {mark!r}: each is a class now; to split "
                f"them, give --data.label_separator '{mark}'."
            )
    return notes
