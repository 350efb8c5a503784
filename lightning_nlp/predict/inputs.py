"""What a model predicts for: a file's texts, or those given in Python, checked to be what it reads."""

import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lightning_nlp.data.settings import Dialect
from lightning_nlp.data.texts.files import refuse_format
from lightning_nlp.data.texts.normalize import join_pair
from lightning_nlp.data.texts.readers import TABLES, file_format, read_lines, read_table, table_cells
from lightning_nlp.data.texts.sources import Row
from lightning_nlp.data.texts.tagged import COLUMNS, LISTS, as_tagged, read_conll
from lightning_nlp.errors import UserError

ROW = {"text": "", "label": ""}


def paired(settings: dict[str, Any]) -> list[str]:
    """The columns of the pairs that a model reads, in their order; none if it reads single texts."""
    column = settings.get("text_column")
    return column if isinstance(column, list) else []


def checked_texts(texts: Any, settings: dict[str, Any], *, lists: bool = False) -> list[Any]:
    """Texts for a predictor, from any iterable; a UserError unless they are what the model reads.

    Args:
        lists: Whether a list of words is a text too.
    """
    # a dict or a table would give its keys or its columns' names
    some = isinstance(texts, Iterable) and not isinstance(texts, str | dict) and getattr(texts, "ndim", 1) == 1
    given = list(texts) if some else []
    if names := paired(settings):
        if not some or not all(isinstance(pair, tuple | list) and [*map(type, pair)] == [str, str] for pair in given):
            raise UserError(f"This model reads pairs of texts: give a list of tuples ({', '.join(names)}).")
        return [*map(join_pair, given)]
    parts = [part for text in given for part in (text if lists and isinstance(text, list) else [text])]
    if wrong := [part for part in parts if not isinstance(part, str)] if some else [texts]:
        kind = type(wrong[0]).__name__
        raise UserError(f"A predictor takes a list of texts, not {kind}: give [text], and only strings.")
    return given


def check_columns(input: str, column: str | list[str] | None, settings: dict[str, Any]) -> None:
    """Raise a UserError unless a file's `column` or columns are as many as the model reads."""
    names = paired(settings)
    if isinstance(column, list) and not names:
        raise UserError(f"--text_column is [{', '.join(column)}], and this run reads single texts: give one column.")
    if names and (not isinstance(column, list) or file_format(Path(input)) not in TABLES):
        found = f"--text_column is {column}" if isinstance(column, str) else f"--input {input} has a text a line"
        raise UserError(
            f"This run reads pairs of texts, and {found}: give a file of {', '.join(TABLES)} and the two columns as "
            f"--text_column '[{', '.join(names)}]'."
        )


def input_texts(
    input: str, text_column: str | list[str] | None = None, *, tagged: bool = False, **dialect: Any
) -> Iterator[tuple[int, Any]]:
    """The texts of a file in a `Dialect`, or of stdin (`-`), with their index; blank lines count as texts.

    Args:
        tagged: Whether JSONL, parquet and CoNLL columns may hold lists of words.

    Raises:
        UserError: If the file is not there or cannot be read.
    """
    try:
        how = Dialect(**dialect)
        if input == "-":
            make_utf8(sys.stdin, "utf-8-sig" if how.encoding == "utf-8" else how.encoding)
            yield from enumerate(line.rstrip("\n") for line in sys.stdin)
        elif os.path.isdir(input):
            raise UserError(f"--input {input} is a folder: give a table, or a file with a text in each line.")
        elif not os.path.exists(input):  # a pipe, as `<(...)` gives, is as good as a file
            raise UserError(f"--input {input}: there is no such file.")
        elif tagged and (found := _sentences(Path(input), str(text_column or "tokens"), how)):
            yield from enumerate(found)
        elif file_format(Path(input)) in TABLES:
            yield from enumerate(row.text for row in read_table(Path(input), text_column or "text", dialect=how))
        else:
            refuse_format(Path(input))
            yield from enumerate(line.rstrip("\r\n") for _, line in read_lines(Path(input), how.encoding))
    except UnicodeDecodeError as error:  # of stdin; the readers have their own message
        raise UserError(
            f"stdin is not {how.encoding.upper()} (byte 0x{error.object[error.start]:02x}): give its --encoding."
        ) from error
    except UserError as error:  # the readers speak of training data
        message = re.sub(r"--data\.(text_column|encoding|delimiter|quoting)", r"--\1", str(error))
        raise UserError(message.replace("--data.path", "--input")) from error


def _sentences(path: Path, text_column: str, dialect: Dialect) -> Iterator[str | list[str]] | None:
    """The sentences of JSONL, parquet or CoNLL columns without their tags; None if it is another format."""
    if file_format(path) in LISTS:
        cells = table_cells(path, {"text": text_column}, dialect)
        return (
            cell if isinstance(cell, str) else _words(as_tagged(ROW, [cell, None], f"{path.name}, {at}"))
            for at, (cell,) in cells
        )
    if file_format(path) in COLUMNS and file_format(path) not in (".txt", ".tsv"):
        return map(_words, read_conll(path, None, dialect.encoding, tagged=False))
    return None


def _words(row: Row) -> list[str]:
    return row.text.split(" ") if row.text else []


def make_utf8(stream: Any, encoding: str) -> None:
    """Read or write UTF-8, as in files, whatever the locale says."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding=encoding, errors="strict")
