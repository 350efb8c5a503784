"""Reads rows from files: sentences, CSV, TSV, JSON, parquet. Each row knows its place, for error messages."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from lightning_nlp.data.settings import UTF8, Dialect
from lightning_nlp.data.texts.columns import as_row, check_columns, name_columns
from lightning_nlp.data.texts.delimited import Cells, delimited_cells
from lightning_nlp.data.texts.layout import TABLES, file_format
from lightning_nlp.data.texts.lines import read_lines, unreadable
from lightning_nlp.data.texts.sources import Row
from lightning_nlp.errors import UserError

BATCH_ROWS = 1000
LEIPZIG_SAMPLE = 100  # lines that decide the format: in plain text not all start with a number and a tab
_LEIPZIG = re.compile(r"^\d+\t")


def leipzig_sentence(line: str) -> str:
    """The sentence of a Leipzig line `id<TAB>sentence`; any other line unchanged."""
    return _LEIPZIG.sub("", line)


def read_table(
    path: Path,
    text_column: str | list[str],
    label_column: str | list[str] | None = None,
    group_column: str | None = None,
    dialect: Dialect = UTF8,
    read_label: Callable[[Any, str], Any] | None = None,
) -> Iterator[Row]:
    """Read a CSV, TSV, JSON or parquet file row by row; all but parquet may be compressed (`.gz`, `.zst`).

    Raises:
        UserError: If the file cannot be read, is empty or malformed, or lacks a column.
    """
    columns = name_columns(text_column, label_column, group_column)
    for place, values in table_cells(path, columns, dialect):
        yield as_row(columns, values, f"{path.name}, {place}", read_label)


def table_cells(path: Path, columns: dict[str, str], dialect: Dialect) -> Cells:
    """The cells of a table's columns, by kind, with the place of each row; raises as `read_table` does."""
    suffix = file_format(path)
    assert suffix in TABLES, f"{path} is no table"
    if suffix == ".jsonl":
        cells = _json_cells(path, columns, dialect.encoding)
    elif suffix == ".parquet":
        cells = _parquet_cells(path, columns)
    else:
        cells = delimited_cells(path, columns, dialect, "," if suffix == ".csv" else "\t")
    row = None
    for row in cells:
        yield row
    if row is None:
        raise UserError(f"{path} has no rows: give --data.path a file with data.")


def read_sentences(path: Path, encoding: str = "utf-8") -> Iterator[Row]:
    """Read a text file (also .gz, .zst) of sentences or, if its first lines are, of `id<TAB>sentence`.

    Raises:
        UserError: If the file cannot be read or has no text, or if a line breaks the Leipzig format.
    """
    lines = read_lines(path, encoding)
    head = list(islice(lines, LEIPZIG_SAMPLE))
    texts = [line for _, line in head if line.strip()]
    leipzig = bool(texts) and all(_LEIPZIG.match(line) for line in texts)
    if texts and all(re.match(r'\s*\{\s*"', line) for line in texts):
        raise UserError(f"{path} looks like JSON, one object per line: name it .jsonl, and give --data.text_column.")
    sentence = None
    for number, line in chain(head, lines):
        if leipzig and line.strip() and not _LEIPZIG.match(line):
            raise UserError(
                f"The line is not `id<TAB>sentence` like those before it, but {line.strip()[:60]!r}: {path}, "
                f"line {number}; correct it, or give --data.path a file with one sentence per line."
            )
        if text := (leipzig_sentence(line) if leipzig else line).strip():
            sentence = Row(text, None, f"{path.name}, line {number}")
            yield sentence
    if sentence is None:
        raise UserError(f"{path} has no text: give --data.path a file with one sentence per line.")


def _json_cells(path: Path, columns: dict[str, str], encoding: str) -> Cells:
    records = _json_records(path, encoding)
    head = list(islice(records, BATCH_ROWS))  # the first record may lack keys that the others have
    if len(head) == 1 and _holds_rows(head[0][1], columns["text"]):
        raise UserError(
            f"{path} is one JSON object with the rows in it: write a list of rows, or one row per line, in pandas by "
            "to_json(FILE, orient='records', lines=True)."
        )
    if head:
        keys = dict.fromkeys(chain.from_iterable(record for _, record in head))
        check_columns(columns, keys, f"{path}, {head[0][0]}")
    for place, record in chain(head, records):
        yield place, [record.get(column) for column in columns.values()]


def _holds_rows(record: dict[str, Any], text_column: str) -> bool:
    """Whether the only object of a file has, in place of a text, columns as of pandas' to_json, or a list of rows."""
    text, lists = record.get(text_column), [value for value in record.values() if isinstance(value, list)]
    by_index = isinstance(text, dict) and "0" in text
    return by_index or (text is None and any(isinstance(row, dict | list) for rows in lists for row in rows[:1]))


def _json_records(path: Path, encoding: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a file: one on each line, all in one array, or one over several lines."""
    lines = ((f"line {number}", line) for number, line in read_lines(path, encoding) if line.strip())
    head = list(islice(lines, 1))
    first = head[0][1].strip() if head else ""
    whole = first.startswith("[") or (first.startswith("{") and not first.endswith("}"))
    if whole:
        head = [("its content", "".join(line for _, line in chain(head, lines)))]
    form = "write one JSON object on each line, or all in one array"
    for place, content in chain(head, lines):
        try:
            value = json.loads(content)
        except (ValueError, RecursionError) as error:
            what = "The file" if whole else "The line"
            raise UserError(f"{what} is not JSON ({error}): {path}, {place}; {form}.") from error
        for index, record in enumerate(value if whole and isinstance(value, list) else [value]):
            where = f"row {index} (from 0)" if whole else place
            if not isinstance(record, dict):
                what = f"There is a JSON {type(record).__name__}, not an object"
                raise UserError(f"{what}: {path}, {where}; {form}.")
            yield where, record


def _parquet_cells(path: Path, columns: dict[str, str]) -> Cells:
    import pyarrow as pa
    import pyarrow.parquet as pq

    index = 0
    try:
        with pq.ParquetFile(path) as file:
            check_columns(columns, file.schema_arrow.names, str(path))
            classes = _class_names(file.schema_arrow.metadata, columns.get("label"))
            for batch in file.iter_batches(BATCH_ROWS, columns=[*{*columns.values()}]):
                cells = {kind: batch.column(name).to_pylist() for kind, name in columns.items()}
                if classes:
                    cells["label"] = [class_named(cell, classes) for cell in cells["label"]]
                for values in zip(*cells.values(), strict=True):
                    yield f"row {index} (from 0)", list(values)
                    index += 1
    except UnicodeDecodeError as error:
        raise UserError(
            f"The column {columns['text']!r} is not UTF-8: {path}, after row {index}; write the file again in UTF-8."
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def _class_names(metadata: dict[bytes, bytes] | None, label: str | None) -> dict[Any, str | None]:
    """The names of the classes by number, as `datasets` writes them into a parquet file."""
    try:
        feature = json.loads((metadata or {})[b"huggingface"])["info"]["features"][label]
        return class_labels(feature.get("feature", feature)["names"])  # of a list's members
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}


def class_labels(names: Iterable[str]) -> dict[Any, str | None]:
    """The names of a `ClassLabel` by its numbers, where -1 means a missing label."""
    return {**dict(enumerate(names)), -1: None}


def class_named(cell: Any, classes: dict[Any, str | None]) -> Any:
    """Replace the number in a cell, or those in a list, by the names of the labels."""
    return [class_named(part, classes) for part in cell] if isinstance(cell, list) else classes.get(cell, cell)
