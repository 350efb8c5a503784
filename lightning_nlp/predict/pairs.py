"""Pairs of texts for a model of pairs, and single texts for the others."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning_nlp.data.texts.normalize import join_pair
from lightning_nlp.data.texts.readers import TABLES, file_format
from lightning_nlp.errors import UserError


def paired(settings: dict[str, Any]) -> list[str]:
    """The columns of the pairs that a model reads, in their order; none if it reads single texts."""
    column = settings.get("text_column")
    return column if isinstance(column, list) else []


def checked_texts(texts: Any, settings: dict[str, Any], *, lists: bool = False) -> list[Any]:
    """Texts as a predictor takes them, any iterable; a UserError unless they are what the model reads.

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


def check_input(input: str, column: str | list[str] | None, settings: dict[str, Any]) -> None:
    """Raise a UserError unless a file of texts has what the model reads, in its `column` or columns."""
    names = paired(settings)
    if isinstance(column, list) and not names:
        raise UserError(f"--text_column is [{', '.join(column)}], and this run reads single texts: give one column.")
    if names and (not isinstance(column, list) or file_format(Path(input)) not in TABLES):
        found = f"--text_column is {column}" if isinstance(column, str) else f"--input {input} has a text a line"
        raise UserError(
            f"This run reads pairs of texts, and {found}: give a file of {', '.join(TABLES)} and the two columns as "
            f"--text_column '[{', '.join(names)}]'."
        )
