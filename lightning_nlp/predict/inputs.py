"""Texts to predict for, from a file or from Python, checked to be of the kind that the model reads."""

import io
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lightning_nlp.data.settings import Dialect
from lightning_nlp.data.texts.files import refuse_format
from lightning_nlp.data.texts.layout import NO_TEXT
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
    """Check texts for a predictor, from any iterable; raises a UserError unless the model can read them.

    Args:
        lists: Whether a list of words counts as a text.
    """
    # iterating over a dict or a table would yield its keys or column names
    some = isinstance(texts, Iterable) and not isinstance(texts, str | dict) and getattr(texts, "ndim", 1) == 1
    listed = list(texts) if some else []
    if names := paired(settings):
        if not some or not all(isinstance(pair, tuple | list) and [*map(type, pair)] == [str, str] for pair in listed):
            raise UserError(f"This model reads pairs of texts: give a list of tuples ({', '.join(names)}).")
        return [*map(join_pair, listed)]
    parts = [part for text in listed for part in (text if lists and isinstance(text, list) else [text])]
    if wrong := [part for part in parts if not isinstance(part, str)] if some else [texts]:
        kind = type(wrong[0]).__name__
        raise UserError(f"A predictor needs a list of texts, not {kind}: give [text], and only strings.")
    return listed


def check_columns(input: str, column: str | list[str] | None, settings: dict[str, Any]) -> None:
    """Raise a UserError unless `column` names as many columns as the model reads."""
    names = paired(settings)
    if isinstance(column, list) and not names:
        raise UserError(f"--text_column is [{', '.join(column)}], and this run reads single texts: give one column.")
    lines = file_format(Path(input)) not in (*TABLES, *NO_TEXT) and os.path.exists(input) and not os.path.isdir(input)
    if names and (input == "-" or lines or isinstance(column, str)):
        problem = f"--text_column is {column}" if isinstance(column, str) else f"--input {input} has one text per line"
        raise UserError(
            f"This run reads pairs of texts, and {problem}: give a file of {', '.join(TABLES)} and the two columns as "
            f"--text_column '{json.dumps(names, ensure_ascii=False)}'."
        )


def input_texts(
    input: str, text_column: str | list[str] | None = None, *, tagged: bool = False, **dialect: Any
) -> Iterator[tuple[int, Any]]:
    """The texts of a file in a `Dialect`, or of stdin (`-`), with their index; blank lines count as texts.

    Args:
        tagged: Whether JSONL, parquet and CoNLL columns may hold lists of words.

    Raises:
        UserError: If the file does not exist or cannot be read.
    """
    try:
        form = Dialect(**dialect)
        if input == "-":
            make_utf8(sys.stdin, "utf-8-sig" if form.encoding == "utf-8" else form.encoding)
            yield from enumerate(line.rstrip("\n") for line in sys.stdin)
        elif os.path.isdir(input):
            raise UserError(f"--input {input} is a folder: give a table, or a file with one text per line.")
        elif not os.path.exists(input):  # a pipe, e.g. from `<(...)`, is as good as a file
            raise UserError(f"--input {input}: there is no such file.")
        elif tagged and (sentences := _sentences(Path(input), str(text_column or "tokens"), form)):
            yield from enumerate(sentences)
        elif file_format(Path(input)) in TABLES:
            yield from enumerate(row.text for row in read_table(Path(input), text_column or "text", dialect=form))
        else:
            refuse_format(Path(input))
            yield from enumerate(line.rstrip("\r\n") for _, line in read_lines(Path(input), form.encoding))
    except UnicodeDecodeError as error:  # of stdin; the readers have their own message
        raise UserError(
            f"stdin is not {form.encoding.upper()} (byte 0x{error.object[error.start]:02x}): give its --encoding."
        ) from error
    except UserError as error:  # the readers' messages are about training data
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
