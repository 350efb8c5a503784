"""Rows out of files: sentences, CSV, TSV, JSON lines, parquet. Each row knows where it stands, for error messages."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path, PurePath
from typing import Any

from lightning_nlp.data.columns import Row, as_row, check_columns, name_columns
from lightning_nlp.data.lines import MAX_TEXT_BYTES, read_lines, unreadable
from lightning_nlp.errors import UserError

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
BATCH_ROWS = 1000
# So many lines tell the Leipzig format: in plain text not each of them starts with a number and a tab.
LEIPZIG_SAMPLE = 100
_LEIPZIG = re.compile(r"\d+\t(.*)", re.DOTALL)


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
            check_columns(columns, header, f"{path} (its first line)")
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
            check_columns(columns, record, f"{path}, line {number}")
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
            check_columns(columns, file.schema_arrow.names, str(path))
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
