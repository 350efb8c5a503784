"""Texts in files, folders, the Leipzig archive or on the Hub as a source."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import urlsplit

from lightning_nlp.data.settings import SPLITS, Dialect, LabelForm
from lightning_nlp.data.texts.columns import NoLabelColumn, name_columns
from lightning_nlp.data.texts.files import describe, find_files, hash_files, is_saved, refuse_address
from lightning_nlp.data.texts.layout import FIRST_ROWS, TABLES, UNLABELLED, Files, file_format
from lightning_nlp.data.texts.sources import CLASSES, Row, Source, Splits
from lightning_nlp.data.texts.targets import decided_form, is_missing, read_label
from lightning_nlp.errors import UserError

LEIPZIG_ESPERANTO = "https://downloads.wortschatz-leipzig.de/corpora/epo_literature_2011_300K.tar.gz"
T = TypeVar("T")
ReadLabel = Callable[[Any, str], Any]  # of a cell and its place


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

    decided = decided_form(form, splits_by(lambda cell, _: cell)["train"]) if form else CLASSES
    splits = splits_by(partial(read_label, decided))
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


def labelled_files(
    path: str,
    text_column: str | list[str],
    label_column: str | list[str],
    group_column: str | None,
    form: LabelForm,
    dialect: Dialect,
    drop_incomplete: bool,
    missing_labels: list[str | int] | None,
) -> Source:
    """The labelled texts of files, folders or the Hub; `labelled_source` explains the arguments."""
    columns = name_columns(text_column, label_column, group_column)
    settings: dict[str, Any] = {"drop_incomplete": drop_incomplete, "paired": "text.1" in columns}
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
        columns, form = {}, LabelForm(missing=form.missing)

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

    return make_source(describe(path, files), files, read, fingerprint, form, label_names=form.columns, **settings)


def sentence_files(
    path: str | None, text_column: str, group_column: str | None, cache_dir: Path, dialect: Dialect
) -> Source:
    """The sentences of files, folders, an archive or the Hub; `text_source` explains the arguments."""
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
