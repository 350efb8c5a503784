"""One data set: its splits, and how their labels are read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lightning_nlp.data.texts.columns import Row
from lightning_nlp.data.texts.labels import is_missing
from lightning_nlp.data.texts.layout import Files
from lightning_nlp.data.texts.targets import LabelForm
from lightning_nlp.errors import UserError, printable

Splits = dict[str, Callable[[], Iterator[Row]]]
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
    missing_labels: tuple[str, ...] | None = None  # in lower case; None: `MISSING`
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
        if is_missing(row.label, self.missing_labels if self.label_names is None else ()):
            return None
        for name in self.form.names_in(str(row.label)):
            if self.label_names is not None and name not in self.label_names:
                raise UserError(
                    f"The label {name!r} is none of {', '.join(self.label_names)}: {row.where}; correct it, or "
                    f"give another --data.label_column."
                )
        return str(row.label)

    @property
    def tagged(self) -> bool:
        """Whether a label is a tag for each word, with spaces between them."""
        return self.form.problem == "tags"
