"""Rows out of CSV and TSV files, in the dialect that they are written in."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from lightning_nlp.data.texts.columns import check_columns
from lightning_nlp.data.texts.lines import MAX_TEXT_BYTES, read_lines
from lightning_nlp.errors import UserError

Cells = Iterator[tuple[str, list[Any]]]  # where a row stands, and its cells
MOST_LABELS = 1000  # remembered, to know a row by
DELIMITERS = {",": ",", "tab": "\t", ";": ";", "|": "|"}  # by the names that the command line knows


@dataclass(frozen=True)
class Dialect:
    """How files of text are written."""

    encoding: str = "utf-8"  # of all but parquet, as Python names it
    delimiter: str | None = None  # of CSV and TSV: a character, or "tab"; None tells it by the suffix
    quoting: bool = True  # whether fields may stand between quotation marks; else these are plain characters

    def __post_init__(self) -> None:
        try:
            "".encode(self.encoding)
        except (LookupError, ValueError) as error:
            raise UserError(
                f"--data.encoding {self.encoding!r} is none that Python knows: give utf-8, cp1252, utf-16, ..."
            ) from error
        if self.delimiter is not None:
            delimiter = DELIMITERS.get(self.delimiter.replace("\\t", "tab"), self.delimiter)
            if len(delimiter) != 1 or delimiter in '"\r\n':
                raise UserError(f"--data.delimiter {self.delimiter!r} is not one character: give ; | , or tab.")
            object.__setattr__(self, "delimiter", delimiter)


UTF8 = Dialect()


def delimited_cells(path: Path, columns: dict[str, str], dialect: Dialect, delimiter: str) -> Cells:
    """The cells of a CSV or TSV file, in the order of the columns; see `read_table`."""
    csv.field_size_limit(MAX_TEXT_BYTES)  # the default of 128 KiB is less than some documents
    # strict: an unclosed quotation mark would otherwise swallow the rest of the file as one text.
    lines = (line for _, line in read_lines(path, dialect.encoding))
    first = next(lines, "")
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if dialect.quoting else csv.QUOTE_NONE
    reader = csv.reader(chain([first], lines), delimiter=delimiter, quoting=quoting, strict=True)
    header: list[str] = []
    places: dict[str, int] = {}
    labels = set[str]()
    while True:
        line = reader.line_num + 1  # where the row starts: a quoted text may go over several lines
        try:
            fields = next(reader, None)
        except csv.Error as error:
            if not header:
                _check_first_line(path, columns, first, [], delimiter)
            raise UserError(
                f"The row is malformed ({error}): {path}, line {line}; put texts with quotation marks, separators or "
                'line breaks between " and double each " in them, or give --data.quoting false if the file has none '
                "around its fields."
            ) from error
        if fields is None:
            return
        if not fields:
            continue
        if not header:
            header = [name.strip() for name in fields]
            _check_first_line(path, columns, first, header, delimiter)
            check_columns(columns, header, f"{path} (its first line)")
            places = {kind: header.index(column) for kind, column in columns.items()}
            continue
        if len(fields) != len(header):
            raise UserError(
                f"The row has {len(fields)} fields where the header has {len(header)}: {path}, line {line}; correct "
                'it, and put texts that hold the separator between ".'
            )
        if len(header) > 1 and [field.strip("\ufeff ") for field in fields] == header:
            raise UserError(
                f"The header stands again: {path}, line {line}; take it out, for example with "
                "`awk 'NR == 1 {first = $0} NR == 1 || $0 != first' OLD > NEW`."
            )
        if "label" in places and len(labels) < MOST_LABELS:
            labels.add(fields[places["label"]] or "\n")  # no cell of a line is a line break
        if line < reader.line_num and _holds_rows(fields, places.get("label"), labels, delimiter):
            raise UserError(
                f"A field between quotation marks holds whole rows, up to line {reader.line_num}: {path}, line {line}; "
                "give --data.quoting false if the marks belong to the texts, or else double those within a field."
            )
        yield f"line {line}", [fields[place] for place in places.values()]


def _check_first_line(path: Path, columns: dict[str, str], first: str, header: list[str], delimiter: str) -> None:
    """Raise a UserError if columns are missing for another delimiter, or because there is no header."""
    if {*columns.values()} <= {*header}:
        return
    for name, other in DELIMITERS.items():
        names = [field.strip(' "\r\n') for field in first.split(other)]
        fit = {*columns.values()} <= {*names} or (len(header) < 2 and all(name.isprintable() for name in names))
        if other != delimiter and len(names) > 1 and fit:
            raise UserError(
                f"The columns of {path} seem to be {', '.join(names)[:80]}, and {delimiter!r} does not stand between "
                f"them: give --data.delimiter '{name}'."
            )
    numbers = [re.fullmatch(r"[\d.,+-]*\d", field) is not None for field in header]
    longest = max(header, key=len, default="")
    if (any(numbers) and not all(numbers)) or len(longest.split()) > 3:
        others = iter([columns.get("label", "other"), *(f"other{i}" for i in range(len(header)))])
        names = [columns["text"] if field == longest else next(others) for field in header]
        raise UserError(
            f"There is no column {columns['text']!r} in {path}, and its first line looks like data: "
            f"{', '.join(header)[:80]}. Put a line with names first, for example with "
            f"`(echo '{delimiter.join(names)}'; cat OLD) > NEW`; if these are names, give --data.text_column."
        )


def _holds_rows(fields: list[str], place: int | None, labels: set[str], delimiter: str) -> bool:
    """Whether lines within a field are rows: by a label that others have, or without labels by tabs."""
    lines = (line.rstrip("\r").split(delimiter) for line in delimiter.join(fields).split("\n"))
    rows = [cells for cells in lines if len(cells) == len(fields) > 1]
    if place is None:
        return delimiter == "\t" and len(rows) > 1
    return sum(cells[place] in labels for cells in rows) > 1  # beside a label there is one line of any text
