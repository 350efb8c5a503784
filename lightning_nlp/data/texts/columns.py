"""One row of a data set: its text, label and group, read from the cells."""

import math
import re
import unicodedata
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from lightning_nlp.data.texts.lines import MAX_TEXT_BYTES
from lightning_nlp.data.texts.normalize import fold, join_pair
from lightning_nlp.data.texts.sources import Row, check_pair
from lightning_nlp.errors import UserError

_HALF_PAIR = re.compile("[\ud800-\udfff]")  # left by cut JSON escapes
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u2060\ufeff]")  # not joiners, part of words
_WHOLE_NUMBER = re.compile(r"(?:\+(?=\d))?(-?(?:0|[1-9]\d{0,999}))(?:\.0*)?|[+-]?(\.0+)", re.ASCII)
_SCORE = re.compile(r"[+-]?(?:\d*[.,]\d+|\d+\.?(?=e))(?:e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_SIGNS = str.maketrans("\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d\uff0b\uff0e\uff0c", "-------+.,")


class NoLabelColumn(UserError):
    """A table has no label column."""


def name_columns(
    text: str | list[str], label: str | list[str] | None = None, group: str | None = None
) -> dict[str, str]:
    """The columns to read, by kind, in this order; several label columns are `label.0`, `label.1` and so on.

    The second text of a pair is `text.1`.
    """
    first, *second = [text] if isinstance(text, str) else check_pair(text)
    labels = {f"label.{i}": name for i, name in enumerate(label)} if isinstance(label, list) else {"label": label}
    columns = {"text": first, **dict.fromkeys(["text.1"][: len(second)], *second), **labels, "group": group}
    return {kind: name for kind, name in columns.items() if name is not None}


def check_columns(columns: dict[str, str], available: Iterable[str], place: str) -> None:
    """Raise a UserError unless each column exists exactly once and all differ; a pair's text may also be its group."""
    available, seen = list(available), dict[str, str]()
    for kind, column in columns.items():
        kind = kind.partition(".")[0]
        number, option = available.count(column), f"--data.{kind}_column"
        if number == 0:
            error = NoLabelColumn if kind == "label" else UserError
            quote = """, and in a list quote each name: '["a", "b"]'""" if column.startswith("[") else ""
            raise error(f"There is no column {column!r} in {place}, only {', '.join(available)}: give {option}{quote}.")
        if number > 1:
            raise UserError(f"There are {number} columns {column!r} in {place}: rename them, or give another {option}.")
        if (other := seen.get(column)) and ("text.1" not in columns or (other, kind) != ("text", "group")):
            both = f"{other.capitalize()} and {kind} are both column {column!r} of {place}"
            raise UserError(f"{both}: give another --data.{other}_column or {option}.")
        seen[column] = kind


def as_row(
    columns: dict[str, str], values: Iterable[Any], where: str, read_label: Callable[[Any, str], Any] | None = None
) -> Row:
    """Make a row from cells in the order of the columns; `read_label` (default: `as_label`) reads the label."""
    cells = dict(zip(columns, values, strict=True))
    group = cells.get("group")
    if isinstance(group, float):  # pandas writes whole numbers as floats if some are missing
        group = None if math.isnan(group) else int(group) if group.is_integer() else group
    name = "" if group is None else str(group).encode("utf-8", "replace").decode().strip()
    several = [_single(cell) for kind, cell in cells.items() if kind.startswith("label.")]
    texts = [as_text(_single(cells[kind]), where) for kind in ("text", "text.1") if kind in cells]
    text, label = join_pair(texts) if len(texts) == 2 else texts[0], several or _single(cells.get("label"))
    return Row(text, (read_label or as_label)(label, where), where, name or None)


def _single(value: Any) -> Any:
    """Unwrap a list of one value, and turn a decimal into a number."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def as_text(value: Any, where: str) -> str:
    """A cell as a text: numbers are written out, and a missing text is ""."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if not isinstance(value, (str, int, float)):
        what = f"The text is a {type(value).__name__}, not a string"
        raise UserError(f"{what}: {where}; give another --data.text_column, or write one row per text.")
    text = str(value)
    if len(text) > MAX_TEXT_BYTES:
        raise UserError(f"The text has {len(text):,} characters: {where}; remove it, or split it.")
    return text


def plain_label(cell: Any) -> str | None:
    r"""A label as the same string in all formats: "1" for 1, 1.0, "1.0" and "\uff11"; None if it is empty."""
    if cell is None or cell != cell:  # NaN
        return None
    cell = int(cell) if isinstance(cell, float) and cell.is_integer() else cell
    label = fold(_INVISIBLE.sub("", str(cell)))
    number = _WHOLE_NUMBER.fullmatch(plain_digits(label))
    return str(int(number[1] or 0)) if number else label or None


def as_label(value: Any, where: str) -> str | None:
    """`plain_label` for the name of a class; "50%" and "1/2" are names, "1,5" and "1e3" are errors."""
    other = "give another --data.label_column"
    if not isinstance(value, str | int | float | None):
        what = f"The label is a {type(value).__name__} ({str(value)[:40]}), not a class: {where}"
        cure = "give --data.problem labels if a text may have several" if isinstance(value, list) else other
        raise UserError(f"{what}; labels are strings or whole numbers, {cure}.")
    if isinstance(value, str) and _HALF_PAIR.search(value):
        raise UserError(f"The label {value[:40]!r} has half of a surrogate pair: {where}; {other}.")
    label = plain_label(value)
    plain = plain_digits(label or "")
    if _SCORE.fullmatch(plain) or plain in ("inf", "-inf"):
        point = "write a decimal point instead of the comma and " if "," in plain else ""
        raise UserError(
            f"The label {str(label)[:40]} is a score, not a class: {where}; {point}give --data.problem number to "
            f"predict scores, round them, put a word before it if it is a name, or {other}."
        )
    return label


def plain_digits(text: str) -> str:
    """Replace all of Unicode's digits and signs in a text by the ASCII ones."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(character, character)) for character in text.translate(_SIGNS))
