"""A data set as a source of rows. Each kind of source has its own file, imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lightning_nlp.data.settings import UTF8, Dialect, LabelForm
from lightning_nlp.errors import UserError, printable

if TYPE_CHECKING:
    from lightning_nlp.data.texts.layout import Files

CLASSES = LabelForm()
SHOWN = 10  # labels in a message


class Row(NamedTuple):
    """One text of a data set."""

    text: str  # not cleaned yet, empty if missing; for a pair both texts, joined by `join_pair`
    label: str | None  # the class, or what `read_label` read from the cells; None if missing
    where: str  # for error messages: "reviews.csv, line 7"
    group: str | None = None  # e.g. its author; None if not asked for or missing


Splits = dict[str, Callable[[], Iterator[Row]]]


@dataclass(frozen=True)
class Source:
    """A data set, and how to read its splits."""

    description: str  # for the model card, without folders: "reviews.csv"
    fingerprint: str  # SHA-256 of the contents and of how they are read
    splits: Splits  # for each split a function that reads it from the start; "train" is always there
    labelled: bool  # whether each row must have a label
    label_names: tuple[str, ...] | None = None  # in the order of their ids, if the data has one
    drop_incomplete: bool = False  # rows without text or label are dropped and counted, not an error
    files: Files[Any] | None = None
    form: LabelForm = CLASSES  # what a label is
    paired: bool = False  # whether each text is a pair
    hold_out_by: str = "--data.val_fraction and --data.test_fraction"  # for messages

    def lines(self) -> list[str]:
        """Which files are read as which split, what is left out, what a label is; a printable line each."""
        what = {"labels": "A text may have several labels", "number": "The label is a number"}.get(self.form.problem)
        decided = [f"{what} ({self.form.why})."] if what else []
        return [printable(line) for line in [*(self.files.lines() if self.files else ()), *decided]]

    @property
    def tagged(self) -> bool:
        """Whether a label is a tag for each word, with spaces between them."""
        return self.form.problem == "tags"


def labelled_source(
    path: str,
    *,
    text_column: str | list[str] = "text",
    label_column: str | list[str] = "label",
    group_column: str | None = None,
    drop_incomplete: bool = False,
    missing_labels: list[str | int] | None = None,
    problem: str = "auto",
    label_separator: str | None = None,
    dialect: Dialect = UTF8,
) -> Source:
    """Find and hash the texts of a `TextClassificationDataModule`, by its arguments; only the first rows are read.

    A local file or folder takes precedence over a data set of that name on the Hub.

    Raises:
        UserError: If `path` does not exist, or has no supported format.
    """
    paired = isinstance(text_column, list)
    if isinstance(text_column, list):
        check_pair(text_column)
    several = tuple(label_column) if isinstance(label_column, list) else None
    missing = None
    if missing_labels is not None:  # written as labels are
        from lightning_nlp.data.texts.columns import as_label

        written = (as_label(label, "--data.missing_labels") for label in missing_labels)
        missing = tuple(str(label).casefold() for label in written)
    form = LabelForm(problem, several, label_separator, missing)
    if path == "demo":
        from lightning_nlp.data.texts.demo_source import demo_source

        return demo_source(form, group_column, paired=paired)
    from lightning_nlp.data.texts.file_source import labelled_files

    columns, kept = (text_column, label_column, group_column), (drop_incomplete, missing_labels)
    return labelled_files(path, *columns, form, dialect, *kept)


def text_source(
    path: str | None,
    *,
    text_column: str = "text",
    group_column: str | None = None,
    cache_dir: Path,
    dialect: Dialect = UTF8,
) -> Source:
    """Find or download the texts of a `MaskedLanguageModelingDataModule`, by its arguments; no row is read yet.

    Raises:
        UserError: If `path` does not exist, or the download fails.
    """
    if path == "demo":
        from lightning_nlp.data.texts.demo_source import demo_source

        return demo_source(None, group_column)
    from lightning_nlp.data.texts.file_source import sentence_files

    return sentence_files(path, text_column, group_column, cache_dir, dialect)


def check_pair(columns: list[str]) -> list[str]:
    """The columns of a pair of texts; raises a UserError unless there are two."""
    if len(columns) != 2 or columns[0] == columns[1]:
        raise UserError(
            f"--data.text_column is [{', '.join(columns)}]: give the name of one column, or two different ones in "
            "brackets for pairs of texts."
        )
    return columns


def numbered(counts: dict[str, int]) -> str:
    """List labels with their numbers of rows."""
    listed = ", ".join(f"{label!r} ({number:,})" for label, number in islice(counts.items(), SHOWN))
    return listed + (f" and {len(counts) - SHOWN} more" if len(counts) > SHOWN else "")
