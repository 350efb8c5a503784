"""One data set: its splits, and how their labels are read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

from lightning_nlp.data.texts.columns import NoLabelColumn, Row
from lightning_nlp.data.texts.labels import is_missing
from lightning_nlp.data.texts.layout import FIRST_ROWS, SPLITS, UNLABELLED, Files
from lightning_nlp.data.texts.targets import LabelForm
from lightning_nlp.errors import UserError, printable

T = TypeVar("T")
Splits = dict[str, Callable[[], Iterator[Row]]]
ReadLabel = Callable[[Any, str], Any]  # of a cell and its place
CLASSES = LabelForm()


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

    def label_name(self, row: Row) -> str | None:
        """The name of a row's class, or its labels or number as a string; None where the label is missing."""
        if row.label is None or is_missing(row.label, self.form.missing):
            return None
        for name in self.form.names_in(row.label):
            if self.label_names is not None and name not in self.label_names:
                raise UserError(
                    f"The label {name!r} is none of {', '.join(self.label_names)}: {row.where}; correct it, or "
                    f"give another --data.label_column."
                )
        return row.label

    @property
    def tagged(self) -> bool:
        """Whether a label is a tag for each word, with spaces between them."""
        return self.form.problem == "tags"


def make_source(
    description: str,
    parts: Files[T],
    read: Callable[[T, ReadLabel], Iterator[Row]],
    fingerprint: Callable[[list[tuple[str, T]], dict[str, Any]], str],
    form: LabelForm | None = None,
    **settings: Any,
) -> Source:
    """The source whose splits consist of `parts`; of those with labels, only the first rows are read now.

    Args:
        read: Reads the rows of a part, and their labels by a function.
        fingerprint: Of all parts, each with its split, and of what the form of labels adds to it.
        form: How labels are read, if there are any.
    """

    def splits_by(read_label: ReadLabel) -> Splits:
        rows = lambda part: chain.from_iterable(read(one, read_label) for one in part)  # noqa: E731
        return {split: partial(rows, part) for split, part in parts.splits.items()}

    decided = form.decided(splits_by(lambda cell, _: cell)["train"]) if form else CLASSES
    splits = splits_by(decided.read)
    if form:
        _leave_unlabelled(splits, parts, decided.missing)
    used = [(split, one) for split in splits for one in parts.splits[split]]
    settings |= {"labelled": form is not None, "form": decided, "files": parts}
    return Source(description, fingerprint(used, decided.for_cache()), splits, **settings)


def _leave_unlabelled(splits: Splits, files: Files[Any], missing: tuple[str, ...] | None) -> None:
    """Take out validation and test if they have no labels to compare with, as in benchmarks."""
    for split in [split for split in SPLITS[1:] if split in splits]:
        try:
            unlabelled = all(is_missing(row.label, missing) for row in islice(splits[split](), FIRST_ROWS))
        except UserError as error:  # others are raised again once all rows are read
            unlabelled = isinstance(error, NoLabelColumn)
        if unlabelled:
            del splits[split]
            files.left_out.setdefault(UNLABELLED, []).extend(files.names.pop(split))
