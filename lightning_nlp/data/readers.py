"""Rows out of files: sentences, CSV, TSV, JSON lines, parquet. Each row knows where it stands, for error messages."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from lightning_nlp.data.lines import MAX_TEXT_BYTES, read_lines, unreadable
from lightning_nlp.errors import UserError

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
BATCH_ROWS = 1000
# So many lines tell the Leipzig format: in plain text not each of them starts with a number and a tab.
LEIPZIG_SAMPLE = 100
_LEIPZIG = re.compile(r"\d+\t(.*)", re.DOTALL)
_HALF_PAIR = re.compile("[\ud800-\udfff]")  # as cut JSON escapes leave them


class Row(NamedTuple):
    """One text of a data set.

    Attributes:
        text: The text as it stands in the data; empty where the data has none.
        label: The class; None where the data has none.
        where: The place for error messages, such as "reviews.csv, line 7".
        group: Whose text it is, such as its author; None where that is not asked for, or not known.
    """

    text: str
    label: str | int | None
    where: str
    group: str | None = None


def file_format(path: PurePath) -> str:
    """The suffix that tells a file's format: ".csv" for reviews.csv, reviews.csv.gz and reviews.csv.zst."""
    return Path(path.name.lower().removesuffix(".gz").removesuffix(".zst")).suffix


def leipzig_sentence(line: str) -> str:
    """The sentence of a Leipzig line `id<TAB>sentence`; another line as it is."""
    match = _LEIPZIG.match(line)
    return line if match is None else match[1]


def read_table(
    path: Path, text_column: str, label_column: str | None = None, group_column: str | None = None
) -> Iterator[Row]:
    """Read a CSV, TSV, JSON lines or parquet file row by row.

    Args:
        path: The file; all but parquet may be compressed (`.gz`, `.zst`).
        text_column: The column with the text.
        label_column: The column with the label; None for texts without labels.
        group_column: The column with the group; None for texts without groups.

    Yields:
        Rows; a missing text is "", a missing label None.

    Raises:
        UserError: If the file cannot be read, is empty or malformed, or lacks a column.
    """
    columns = name_columns(text_column, label_column, group_column)
    suffix = file_format(path)
    assert suffix in TABLES, f"{path} is no table"
    if suffix == ".jsonl":
        cells = _json_cells(path, columns)
    elif suffix == ".parquet":
        cells = _parquet_cells(path, columns)
    else:
        cells = _csv_cells(path, columns, "," if suffix == ".csv" else "\t")
    empty = True
    for place, values in cells:
        empty = False
        where = f"{path.name}, {place}"
        yield as_row(columns, values, where)
    if empty:
        raise UserError(f"{path} holds no rows: give --data.path a file with data.")


def read_sentences(path: Path) -> Iterator[Row]:
    """Read a text file with one sentence a line, or in the Leipzig format `id<TAB>sentence`; blank lines are skipped.

    Args:
        path: The file, which may be compressed (`.gz`, `.zst`). The format is told by its first lines.

    Yields:
        Rows without labels.

    Raises:
        UserError: If the file cannot be read or holds no text, or if a line breaks the Leipzig format.
    """
    lines = read_lines(path)
    head = list(islice(lines, LEIPZIG_SAMPLE))
    texts = [line for _, line in head if line.strip()]
    leipzig = bool(texts) and all(_LEIPZIG.match(line) for line in texts)
    empty = True
    for number, line in chain(head, lines):
        if not line.strip():
            continue
        sentence = line
        if leipzig:
            match = _LEIPZIG.match(line)
            if match is None:
                raise UserError(
                    f"The line is not `id<TAB>sentence` as the lines before it, but {line.strip()[:60]!r}: {path}, "
                    f"line {number}; correct it, or give --data.path a file with one sentence a line."
                )
            sentence = match[1]
        if sentence := sentence.strip():
            empty = False
            yield Row(sentence, None, f"{path.name}, line {number}")
    if empty:
        raise UserError(f"{path} holds no text: give --data.path a file with one sentence a line.")


def name_columns(text: str, label: str | None = None, group: str | None = None) -> dict[str, str]:
    """The columns to read, by what they hold, in this order."""
    columns = {"text": text, "label": label, "group": group}
    return {kind: name for kind, name in columns.items() if name is not None}


def check_columns(
    columns: list[str], available: Iterable[str], place: str, kinds: Iterable[str] = ("text", "label")
) -> None:
    """Raise a UserError unless the columns, which hold what `kinds` says, are different ones and there, each once."""
    available, seen = list(available), dict[str, str]()
    for kind, column in zip(kinds, columns, strict=False):
        number, option = available.count(column), f"--data.{kind}_column"
        if number == 0:
            only = ", ".join(available)
            raise UserError(f"There is no column {column!r} in {place}, only {only}: give {option}.")
        if number > 1:
            raise UserError(f"There are {number} columns {column!r} in {place}: rename them, or give another {option}.")
        if other := seen.get(column):
            raise UserError(
                f"{other.capitalize()} and {kind} are both column {column!r} of {place}: give another "
                f"--data.{other}_column or {option}."
            )
        seen[column] = kind


def as_row(columns: dict[str, str], values: Iterable[Any], where: str) -> Row:
    """A row out of its cells, which come in the order of the columns."""
    cells = dict(zip(columns, values, strict=True))
    group = cells.get("group")
    if isinstance(group, float):  # as pandas writes whole numbers where some are missing
        group = None if math.isnan(group) else int(group) if group.is_integer() else group
    name = "" if group is None else str(group).encode("utf-8", "replace").decode().strip()
    return Row(as_text(cells["text"], where), as_label(cells.get("label"), where), where, name or None)


def as_text(value: Any, where: str) -> str:
    """A cell as a text: numbers are written out, a missing one is ""."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if not isinstance(value, (str, int, float)):
        raise UserError(
            f"The text is a {type(value).__name__}, not a string: {where}; give another --data.text_column."
        )
    text = str(value)
    if len(text) > MAX_TEXT_BYTES:
        raise UserError(f"The text has {len(text):,} characters: {where}; leave it out, or give it in parts.")
    return text


def as_label(value: Any, where: str) -> str | int | None:
    """A cell as a label: None where it is missing, an int for a whole number, else a string without outer spaces."""
    other = "give another --data.label_column"
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str):
        if _HALF_PAIR.search(value):
            raise UserError(f"The label {value[:40]!r} holds half of a surrogate pair: {where}; {other}.")
        return value.strip() or None
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():  # pandas turns whole numbers into floats where some are missing
        return int(value)
    if not isinstance(value, int):
        raise UserError(
            f"The label is a {type(value).__name__} ({str(value)[:40]}), not a class: {where}; labels are strings or "
            f"whole numbers, {other}."
        )
    return value


Cells = Iterator[tuple[str, list[Any]]]


def _csv_cells(path: Path, columns: dict[str, str], delimiter: str) -> Cells:
    csv.field_size_limit(MAX_TEXT_BYTES)  # the default of 128 KiB is less than some documents
    # strict: an unclosed quotation mark would otherwise swallow the rest of the file as one text.
    reader = csv.reader((line for _, line in read_lines(path)), delimiter=delimiter, strict=True)
    header: list[str] = []
    places: list[int] = []
    while True:
        line = reader.line_num + 1  # where the row starts: a quoted text may go over several lines
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise UserError(
                f"The row is malformed ({error}): {path}, line {line}; put texts with quotation marks, separators or "
                'line breaks between " and double each " in them.'
            ) from error
        if fields is None:
            return
        if not fields:
            continue
        if not header:
            header = [name.strip() for name in fields]
            check_columns([*columns.values()], header, f"{path} (its first line)", columns)
            places = [header.index(column) for column in columns.values()]
            continue
        if len(fields) != len(header):
            raise UserError(
                f"The row has {len(fields)} fields where the header has {len(header)}: {path}, line {line}; correct "
                'it, and put texts that hold the separator between ".'
            )
        yield f"line {line}", [fields[place] for place in places]


def _json_cells(path: Path, columns: dict[str, str]) -> Cells:
    first = True
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            record = json.loads(line, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"The line is not JSON ({error}): {path}, line {number}; each line must be one JSON object."
            ) from error
        if not isinstance(record, dict):
            raise UserError(
                f"The line is a JSON {type(record).__name__}, not an object: {path}, line {number}; each line must be "
                f'one object such as {{"{columns["text"]}": "..."}}.'
            )
        if first:
            check_columns([*columns.values()], record, f"{path}, line {number}", columns)
            first = False
        yield f"line {number}", [record.get(column) for column in columns.values()]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; of a key that stands in it twice, a parser takes the last value without a word."""
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands in an object twice")
    return record


def _parquet_cells(path: Path, columns: dict[str, str]) -> Cells:
    import pyarrow as pa
    import pyarrow.parquet as pq

    index = 0
    try:
        with pq.ParquetFile(path) as file:
            names = [*columns.values()]
            check_columns(names, file.schema_arrow.names, str(path), columns)
            for batch in file.iter_batches(BATCH_ROWS, columns=names):
                cells = [batch.column(column).to_pylist() for column in names]
                for values in zip(*cells, strict=True):
                    yield f"row {index} (from 0)", list(values)
                    index += 1
    except UnicodeDecodeError as error:
        raise UserError(
            f"The column {columns['text']!r} is not UTF-8: {path}, after row {index}; write the file anew."
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error
