"""A data set as a source of rows, and where it comes from: files, folders, Leipzig sentences, the Hub, the demos."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import urlsplit

from lightning_nlp.data.settings import SPLITS, UTF8, Dialect
from lightning_nlp.data.texts.columns import NoLabelColumn, Row, as_label, name_columns
from lightning_nlp.data.texts.files import describe, find_files, hash_files, is_saved, refuse_address
from lightning_nlp.data.texts.layout import FIRST_ROWS, TABLES, UNLABELLED, Files, file_format
from lightning_nlp.data.texts.targets import LabelForm, is_missing
from lightning_nlp.errors import UserError, printable

LEIPZIG_ESPERANTO = "https://downloads.wortschatz-leipzig.de/corpora/epo_literature_2011_300K.tar.gz"
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
                    f"The label {name!r} is not one of {', '.join(self.label_names)}: {row.where}; correct it, or "
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
    """Make a source whose splits consist of `parts`; of labelled ones, only the first rows are read now.

    Args:
        read: Reads the rows of a part, with a function that reads their labels.
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
    split_parts = [(split, one) for split in splits for one in parts.splits[split]]
    settings |= {"labelled": form is not None, "form": decided, "files": parts}
    return Source(description, fingerprint(split_parts, decided.for_cache()), splits, **settings)


def _leave_unlabelled(splits: Splits, files: Files[Any], missing: tuple[str, ...] | None) -> None:
    """Drop validation and test if they have no labels, as in benchmarks that hide them."""
    for split in [split for split in SPLITS[1:] if split in splits]:
        try:
            unlabelled = all(is_missing(row.label, missing) for row in islice(splits[split](), FIRST_ROWS))
        except UserError as error:  # others are raised again once all rows are read
            unlabelled = isinstance(error, NoLabelColumn)
        if unlabelled:
            del splits[split]
            files.left_out.setdefault(UNLABELLED, []).extend(files.names.pop(split))


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
    columns, missing = name_columns(text_column, label_column, group_column), None
    if missing_labels is not None:  # written as labels are
        written = (as_label(label, "--data.missing_labels") for label in missing_labels)
        missing = tuple(str(label).casefold() for label in written)
    several = tuple(label_column) if isinstance(label_column, list) else None
    settings: dict[str, Any] = {"drop_incomplete": drop_incomplete, "paired": "text.1" in columns}
    form = LabelForm(problem, several, label_separator, missing)
    if path == "demo":
        from lightning_nlp.data.texts.demo_source import demo_source

        return demo_source(form, group_column, paired=settings["paired"])
    files = None if is_saved(path) else find_files(path, labelled=True)
    if files is None:
        from lightning_nlp.data.texts.hub_texts import datasets_source

        return datasets_source(path, columns, form, **settings)
    if files.classes:
        _refuse_groups(group_column, path)
        if settings["paired"]:
            raise UserError(f"The folders of {path} have one text per file, not pairs: leave out --data.text_column.")
        if form.problem not in ("auto", "classes"):
            raise UserError(f"The folders of {path} name one class each: leave out {form.why}.")
        columns, form = {}, LabelForm(missing=missing)

    from lightning_nlp.data.texts.lines import read_lines
    from lightning_nlp.data.texts.readers import read_table

    def read(file: Path, read_label: ReadLabel) -> Iterator[Row]:
        if not files.classes:
            return read_table(file, text_column, label_column, group_column, dialect, read_label)
        text = "".join(line for _, line in read_lines(file, dialect.encoding))
        return iter([Row(text, file.parent.name, "/".join(file.parts[-3:]))])

    options = {**columns, "drop_incomplete": drop_incomplete, "missing_labels": missing_labels, **asdict(dialect)}

    def fingerprint(used: list[tuple[str, Path]], form_key: dict[str, Any]) -> str:
        contents = ((f"{split}/{file.parent.name}" if files.classes else split, file) for split, file in used)
        return hash_files(contents, options | form_key)

    return make_source(describe(path, files), files, read, fingerprint, form, label_names=several, **settings)


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
    if path is None or path.startswith(("http://", "https://")):
        if path and file_format(PurePosixPath(urlsplit(path).path)) in (*TABLES, ".txt"):
            refuse_address(path)
        from lightning_nlp.data.texts.download import leipzig_archive

        folder = leipzig_archive(path or LEIPZIG_ESPERANTO, cache_dir)
        files: Files[Path] | None = Files({"train": sorted(folder.glob("*-sentences.txt"))}, {}, {})
        path = ""  # its folder's name is only a hash: described by the file
    else:
        files = None if is_saved(path) else find_files(path, labelled=False)
    if files is None:
        from lightning_nlp.data.texts.hub_texts import datasets_source

        return datasets_source(path, name_columns(text_column, group=group_column))

    from lightning_nlp.data.texts.readers import read_sentences, read_table

    def read(file: Path, read_label: ReadLabel) -> Iterator[Row]:
        if file_format(file) in TABLES:
            return read_table(file, text_column, group_column=group_column, dialect=dialect)
        _refuse_groups(group_column, file.name)
        return read_sentences(file, dialect.encoding)

    options = {"text_column": text_column, "group_column": group_column, **asdict(dialect)}
    return make_source(describe(path, files), files, read, lambda used, _: hash_files(used, options))


def _refuse_groups(group_column: str | None, what: str) -> None:
    if group_column is not None:
        raise UserError(f"{what} has no columns, so there is no {group_column!r}: leave out --data.group_column.")
