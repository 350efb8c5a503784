"""Reads rows from CSV and TSV files, in the dialect they are written in."""

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from lightning_nlp.data.settings import DELIMITERS, Dialect
from lightning_nlp.data.texts.columns import check_columns
from lightning_nlp.data.texts.lines import MAX_TEXT_BYTES, read_lines
from lightning_nlp.errors import UserError

Cells = Iterator[tuple[str, list[Any]]]  # the place of a row, and its cells
HEAD_LINES = 100  # searched for spaces before quotation marks
MOST_LABELS = 1000  # remembered, to recognise a row within a field
_NUMBER = re.compile(r"[\d.,+-]*\d")


def delimited_cells(path: Path, columns: dict[str, str], dialect: Dialect, delimiter: str) -> Cells:
    """The cells of a CSV or TSV file, by column; the dialect's delimiter overrides the suffix's."""
    lines = (line for _, line in read_lines(path, dialect.encoding))
    head = list(islice(lines, HEAD_LINES))
    delimiter = dialect.delimiter or delimiter
    # within quoted fields a mark is doubled, so a single one after a space can only open a field
    spaced = dialect.quoting and any(re.search(re.escape(delimiter) + ' +"(?!")', line) for line in head)
    quoting = csv.QUOTE_MINIMAL if dialect.quoting else csv.QUOTE_NONE
    rows = _rows(path, chain(head, lines), {"delimiter": delimiter, "quoting": quoting, "skipinitialspace": spaced})
    try:
        header = [name.strip() for name in next(rows, (0, 0, []))[2]]
    except UserError:
        _explain_header(path, columns, head[0], [], delimiter)
        raise
    if not header:
        return
    if not {*columns.values()} <= {*header}:
        _explain_header(path, columns, head[0], header, delimiter)
    check_columns(columns, header, f"{path} (its first line)")
    places = {kind: header.index(column) for kind, column in columns.items()}
    labels = set[str]()
    for line, last, fields in rows:
        if len(fields) != len(header):
            cure = "quote texts that contain the separator." if dialect.quoting else "give --data.quoting true."
            what = f"The row has {len(fields)} fields where the header has {len(header)}"
            raise UserError(f"{what}: {path}, line {line}; correct it, or {cure}")
        if len(header) > 1 and [field.strip("\ufeff ") for field in fields] == header:
            raise UserError(
                f"The header is repeated: {path}, line {line}; remove it, for example with "
                "`awk 'NR == 1 {first = $0} NR == 1 || $0 != first' OLD > NEW`."
            )
        if "label" in places and len(labels) < MOST_LABELS:
            labels.add(fields[places["label"]] or "\n")  # no cell of a line is a line break
        if line < last and _holds_rows(fields, places.get("label"), labels, delimiter):
            raise UserError(
                f"A quoted field contains whole rows, up to line {last}: {path}, line {line}; "
                "give --data.quoting false if the marks are part of the texts, or double those within a field."
            )
        yield f"line {line}", [fields[place] for place in places.values()]


def _rows(path: Path, lines: Iterable[str], options: dict[str, Any]) -> Iterator[tuple[int, int, list[str]]]:
    """The first and last line of each row, and its fields."""
    csv.field_size_limit(MAX_TEXT_BYTES)  # some documents are longer than the default of 128 KiB
    # strict: an unclosed quotation mark would otherwise swallow the rest of the file as one text
    reader = csv.reader(lines, strict=True, **options)
    line = 1
    try:
        for fields in reader:
            if fields:
                yield line, reader.line_num, fields  # a quoted text may go over several lines
            line = reader.line_num + 1
    except csv.Error as error:
        if "new-line" in str(error):
            raise UserError(
                f"There is a CR within a line that ends in LF: {path}, line {line}; if both end lines, convert "
                "them with `tr '\\r' '\\n' < OLD > NEW`; quote texts that contain line breaks."
            ) from error
        raise UserError(
            f"The row is malformed ({error}): {path}, line {line}; quote texts with quotation marks, separators or "
            'line breaks, and double each " in them, or give --data.quoting false if no field is quoted.'
        ) from error


def _explain_header(path: Path, columns: dict[str, str], line: str, header: list[str], delimiter: str) -> None:
    """Raise a UserError if there is a likely reason why the header lacks columns."""
    wanted = {*columns.values()}
    for name, other in DELIMITERS.items():
        names = [field.strip(' "\r\n') for field in line.split(other)]
        fit = wanted <= {*names} or (len(header) < 2 and all(name.isprintable() for name in names))
        if other != delimiter and len(names) > 1 and fit:
            raise UserError(
                f"The columns of {path} seem to be {', '.join(names)[:80]}, not separated by {delimiter!r}: give "
                f"--data.delimiter '{name}'."
            )
    texts = [columns[kind] for kind in ("text", "text.1") if kind in columns]
    longest = sorted(header, key=len)[-len(texts) :]
    numbers = {bool(_NUMBER.fullmatch(field)) for field in header}
    if numbers == {True, False} or any(len(field.split()) > 3 for field in longest):
        # with several other columns, any may be the label
        known = columns.get("label") if len(header) == len(texts) + 1 else None
        names = [
            texts.pop(0) if texts and field in longest else known or f"column{i}" for i, field in enumerate(header, 1)
        ]
        raise UserError(
            f"There is no column {columns['text']!r} in {path}, and its first line looks like data: "
            f"{', '.join(header)[:80]}. Put column names first, for example with "
            f"`(printf '{delimiter.join(names)}\\n'; cat OLD) > NEW`; other names need --data.text_column "
            "and --data.label_column."
        )


def _holds_rows(fields: list[str], place: int | None, labels: set[str], delimiter: str) -> bool:
    """Whether lines within a field are rows: they have a known label, or tabs where there are no labels."""
    lines = (line.rstrip("\r").split(delimiter) for line in delimiter.join(fields).split("\n"))
    rows = [cells for cells in lines if len(cells) == len(fields) > 1]
    if place is None:
        return delimiter == "\t" and len(rows) > 1
    return sum(cells[place] in labels for cells in rows) > 1  # beside a label there is one line of any text
