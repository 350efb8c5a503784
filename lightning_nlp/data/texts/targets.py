"""What a label is: one class, several labels or a number. The first rows decide."""

import contextlib
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

import numpy as np

from lightning_nlp.data.texts.columns import Row, as_label
from lightning_nlp.data.texts.labels import in_order, is_missing
from lightning_nlp.data.texts.normalize import fold
from lightning_nlp.errors import UserError

DECIDING_ROWS = 1000
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?\d+\.?0*", re.ASCII)


@dataclass(frozen=True)
class LabelForm:
    """How label cells are read: `problem` is "classes", "labels", "number", "tags", or "auto" at first.

    Several labels and numbers become strings, so that what follows treats them like classes: a JSON list of
    names, and a number as Python writes it.
    """

    problem: str = "classes"
    columns: tuple[str, ...] = ()  # of several 0/1 columns; their names are the labels
    separator: str | None = None  # between the labels of one cell
    missing: tuple[str, ...] | None = None  # words for a missing label, in lower case; None: `MISSING`
    names: tuple[str, ...] | None = None  # of a `ClassLabel`
    why: str = "--data.problem"  # the reason for the problem

    def __post_init__(self) -> None:
        several = "--data.label_column is a list" if self.columns else "--data.label_separator"
        if self.separator == "":
            raise UserError("--data.label_separator is empty: give what separates the labels.")
        if self.problem == "auto" and (self.columns or self.separator):
            object.__setattr__(self, "problem", "labels")
            object.__setattr__(self, "why", several)
        if self.problem != "labels" and (self.columns or self.separator):
            raise UserError(f"{several} is for several labels: leave it out, or --data.problem {self.problem}.")
        if self.columns and self.separator:
            raise UserError("--data.label_separator is for one column, --data.label_column a list: give one.")

    def for_cache(self) -> dict[str, Any]:
        """What makes the token cache of another problem another one; nothing for classes."""
        return {} if self.problem == "classes" else {"problem": self.problem, "label_separator": self.separator}

    def decided(self, rows: Callable[[], Iterator[Row]]) -> "LabelForm":
        """This form with the problem that the first rows show, if none was asked for; their labels are raw cells.

        Whole numbers are classes, as 0.0 is, which pandas writes for 0 where values are missing.
        """
        if self.problem != "auto":
            return self
        cells: list[Any] = []
        with contextlib.suppress(UserError):  # raised again when all is read
            cells += (row.label for row in islice(rows(), DECIDING_ROWS) if not self._is_missing(row.label))
        if any(isinstance(cell, list) for cell in cells):
            return replace(self, problem="labels", why="the label column has lists")
        written = [fold(str(cell)) if isinstance(cell, str | float) else str(cell) for cell in cells]
        numbers = all(map(_NUMBER.fullmatch, written)) and not any(isinstance(cell, bool) for cell in cells)
        if numbers and not all(map(_WHOLE.fullmatch, written)):
            return replace(self, problem="number", why="the label column has fractions")
        return replace(self, problem="classes")

    def read(self, cell: Any, where: str) -> str | int | None:
        """The label in a cell, or in those of several columns; None if it is missing."""
        if self.problem == "classes":
            if isinstance(cell, list):
                cure = "give --data.problem labels if a text may have several"
                raise UserError(f"The label is a list ({str(cell)[:40]}), not a class: {where}; {cure}.")
            return as_label(cell, where)
        if self.columns:
            return self._of_columns(cell, where)
        if self._is_missing(cell) and not (cell == "" and self.separator):
            return None
        return self._number(cell, where) if self.problem == "number" else self._labels(cell, where)

    def names_in(self, label: str) -> list[str]:
        """The names in what `read` returned: none in a number."""
        if self.problem == "labels":
            return list(json.loads(label))
        if self.problem == "tags":
            return label.split(" ")
        return [label] if self.problem == "classes" else []

    @property
    def needs_table(self) -> bool:
        """Whether the id of a row stands for several labels or a number, which `target_table` has."""
        return self.problem in ("labels", "number")

    def _is_missing(self, cell: Any) -> bool:
        if isinstance(cell, str):
            cell = fold(cell) or None
        return (isinstance(cell, float) and math.isnan(cell)) or is_missing(cell, self.missing)

    def _of_columns(self, cells: list[Any], where: str) -> str | None:
        found = []
        for name, cell in zip(self.columns, cells, strict=True):
            value = int(cell) if isinstance(cell, bool) else as_label(cell, where)
            if is_missing(value, self.missing):
                return None
            if value not in (0, 1):
                what = f"The column {name!r} has {str(value)[:40]!r}, not 0 or 1: {where}"
                raise UserError(f"{what}; correct it, or take {name} out of --data.label_column.")
            found += [name] if value else []
        return _as_json(found)

    def _labels(self, cell: Any, where: str) -> str:
        if self.separator is not None:
            if not isinstance(cell, str):
                what = f"The label is a {type(cell).__name__} ({str(cell)[:40]})"
                raise UserError(f"{what}, and --data.label_separator is for strings: {where}; leave it out.")
            cell = cell.split(self.separator) if fold(cell) else []
        names = []
        for name in cell if isinstance(cell, list) else [cell]:
            label = as_label(name, where) if self.names is None else self._class_name(name)
            if label is None:
                raise UserError(f"A label of {str(cell)[:60]} is empty: {where}; take it out or name it.")
            names.append(str(label))
        return _as_json(names)

    def _class_name(self, number: Any) -> str | None:
        known = self.names or ()
        return known[number] if isinstance(number, int) and 0 <= number < len(known) else None

    def _number(self, cell: Any, where: str) -> str:
        written = fold(str(cell))
        whole = isinstance(cell, int | float) and not isinstance(cell, bool)
        if not (whole or _NUMBER.fullmatch(written)) or not math.isfinite(float(written)):
            cure = "correct it, with a point before its fraction, or give --data.problem classes"
            raise UserError(f"The label {written[:40]!r} is not a finite number: {where}; {cure}.")
        return repr(float(written) + 0.0)  # without the sign of a zero


def _as_json(names: Iterable[str]) -> str:
    return json.dumps(sorted({*names}), ensure_ascii=False)


def label_facts(form: LabelForm, targets: list[str], ids: dict[str, np.ndarray]) -> dict[str, Any]:
    """What a token cache keeps beside the rows' ids: `targets`, lists of labels' numbers, or numbers.

    Args:
        targets: The distinct labels in the order of their ids, as `LabelForm.read` writes them.
        ids: By split, the id of each row, (rows,).

    Returns:
        `problem`, `targets`, `label_names` (None of numbers), and by split `class_counts`, or of numbers
        `mean`, `std`, `low` and `high`.
    """
    facts: dict[str, Any] = {"problem": form.problem, "label_names": None}
    if form.problem == "number":
        facts["targets"] = [float(target) for target in targets]
        table = np.array(facts["targets"])
        for split, rows in ids.items():
            own = table[rows]
            facts[split] = {"mean": own.mean(), "std": own.std(), "low": own.min(), "high": own.max()}
            facts[split] = {name: float(value) for name, value in facts[split].items()}
        return facts
    found = [form.names_in(target) for target in targets]
    names = list(form.columns or form.names or in_order(chain.from_iterable(found)))
    numbers = {name: number for number, name in enumerate(names)}
    facts |= {"label_names": names, "targets": [[numbers[name] for name in labels] for labels in found]}
    table = target_table(facts)
    for split, rows in ids.items():
        facts[split] = {"class_counts": table[rows].sum(axis=0, dtype=np.int64).tolist()}
    return facts


def target_table(facts: dict[str, Any]) -> np.ndarray:
    """What the ids of rows mean: 0 and 1 for each of several labels, (ids, labels), or numbers (ids,)."""
    if facts["problem"] == "number":
        return np.array(facts["targets"], dtype=np.float32)
    table = np.zeros((len(facts["targets"]), len(facts["label_names"])), dtype=np.int8)
    for row, labels in zip(table, facts["targets"], strict=True):
        row[labels] = 1
    return table
