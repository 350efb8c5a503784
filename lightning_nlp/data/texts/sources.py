"""Where texts come from: files, folders, Leipzig sentences, the Hub, or the embedded demos."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import urlsplit

from lightning_nlp.data.settings import UTF8, Dialect
from lightning_nlp.data.texts.columns import NoLabelColumn, Row, as_label, as_row, check_columns, name_columns
from lightning_nlp.data.texts.download import leipzig_archive
from lightning_nlp.data.texts.files import describe, find_files, hash_files, is_saved, local_path, refuse_address
from lightning_nlp.data.texts.hub_texts import from_hub, load_saved
from lightning_nlp.data.texts.labels import is_missing
from lightning_nlp.data.texts.layout import FIRST_ROWS, SPLITS, UNLABELLED, Files, name_splits
from lightning_nlp.data.texts.lines import read_lines
from lightning_nlp.data.texts.readers import BATCH_ROWS, TABLES, class_labels, file_format, read_sentences, read_table
from lightning_nlp.data.texts.source import CLASSES, Source, Splits
from lightning_nlp.data.texts.targets import LabelForm
from lightning_nlp.errors import UserError

T = TypeVar("T")

LEIPZIG_ESPERANTO = "https://downloads.wortschatz-leipzig.de/corpora/epo_literature_2011_300K.tar.gz"


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

    What exists locally wins over the Hub. A folder may also be one that `save_to_disk` of `datasets` wrote.

    Raises:
        UserError: If `path` names nothing, or nothing of a format that is read here.
    """
    columns, missing = name_columns(text_column, label_column, group_column), None
    if missing_labels is not None:  # written as labels are
        written = (as_label(label, "--data.missing_labels") for label in missing_labels)
        missing = tuple(str(label).casefold() for label in written)
    paired, several = "text.1" in columns, tuple(label_column) if isinstance(label_column, list) else ()
    if label_column == []:
        raise UserError("--data.label_column is an empty list: give the columns of the labels.")
    form = LabelForm(problem, several, label_separator, missing)
    if path == "demo":
        from lightning_nlp.data.texts.demo_source import demo_source

        return demo_source(form, group_column, paired=paired)
    files = None if is_saved(path) else find_files(path, labelled=True)
    if files is None:
        return datasets_source(path, columns, drop_incomplete, form)
    if files.classes:
        _refuse_groups(group_column, path)
        if paired:
            raise UserError(f"The folders of {path} hold one text a file, no pairs: leave out --data.text_column.")
        if form.problem not in ("auto", "classes"):
            raise UserError(f"The folders of {path} name one class each: leave out {form.why}.")
        columns, form = {}, LabelForm(missing=missing)
        splits = read_splits(partial(_read_text_of_class, encoding=dialect.encoding), files.splits)
    else:
        table = partial(read_table, text_column=text_column, label_column=label_column, group_column=group_column)
        table = partial(table, dialect=dialect)
        form = form.decided(read_splits(partial(table, read_label=lambda cell, _: cell), files.splits)["train"])
        splits = read_splits(partial(table, read_label=form.read), files.splits)
    leave_unlabelled(splits, files, missing)
    contents = [
        (f"{split}/{file.parent.name}" if files.classes else split, file)
        for split in splits
        for file in files.splits[split]
    ]
    how = {**columns, "drop_incomplete": drop_incomplete, "missing_labels": missing_labels, **asdict(dialect)}
    how |= form.for_cache()
    return Source(
        description=describe(path, files),
        fingerprint=hash_files(contents, how),
        splits=splits,
        labelled=True,
        drop_incomplete=drop_incomplete,
        label_names=form.columns or None,
        files=files,
        missing_labels=missing,
        form=form,
        paired=paired,
    )


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
        UserError: If `path` names nothing, or if the download fails.
    """
    if path == "demo":
        from lightning_nlp.data.texts.demo_source import demo_source

        return demo_source(None, group_column)
    if path is None or path.startswith(("http://", "https://")):
        if path and file_format(PurePosixPath(urlsplit(path).path)) in (*TABLES, ".txt"):
            refuse_address(path)
        folder = leipzig_archive(path or LEIPZIG_ESPERANTO, cache_dir)
        files: Files[Path] | None = Files({"train": sorted(folder.glob("*-sentences.txt"))}, {}, {})
        path = ""  # its folder's name is only a hash: described by the file
    else:
        files = None if is_saved(path) else find_files(path, labelled=False)
    if files is None:
        return datasets_source(path, name_columns(text_column, group=group_column))

    def reader(file: Path) -> Iterator[Row]:
        if file_format(file) in TABLES:
            return read_table(file, text_column, group_column=group_column, dialect=dialect)
        _refuse_groups(group_column, file.name)
        return read_sentences(file, dialect.encoding)

    how = {"text_column": text_column, "group_column": group_column, **asdict(dialect)}
    return Source(
        description=describe(path, files),
        fingerprint=hash_files(((split, file) for split, part in files.splits.items() for file in part), how),
        splits=read_splits(reader, files.splits),
        labelled=False,
        files=files,
    )


def _refuse_groups(group_column: str | None, what: str) -> None:
    if group_column is not None:
        raise UserError(f"{what} has no columns, so there is no {group_column!r}: leave out --data.group_column.")


def read_splits(reader: Callable[[T], Iterator[Row]], parts: dict[str, list[T]]) -> Splits:
    """For each split a function that reads its files one after the other, from the start."""
    return {split: partial(lambda part: chain.from_iterable(map(reader, part)), part) for split, part in parts.items()}


def _read_text_of_class(file: Path, encoding: str) -> Iterator[Row]:
    text = "".join(line for _, line in read_lines(file, encoding))
    yield Row(text, file.parent.name, "/".join(file.parts[-3:]))


def leave_unlabelled(splits: Splits, files: Files[Any], missing: tuple[str, ...] | None) -> None:
    """Take out validation and test if they have no labels to compare with, as in benchmarks."""
    for split in [split for split in SPLITS[1:] if split in splits]:
        try:
            unlabelled = all(is_missing(row.label, missing) for row in islice(splits[split](), FIRST_ROWS))
        except UserError as error:  # others are raised again once all rows are read
            unlabelled = isinstance(error, NoLabelColumn)
        if unlabelled:
            del splits[split]
            files.left_out.setdefault(UNLABELLED, []).extend(files.names.pop(split))


def datasets_source(
    path: str, columns: dict[str, str], drop_incomplete: bool = False, form: LabelForm = CLASSES, read_row: Any = as_row
) -> Source:
    """What `datasets` loads: from the Hub, or from a folder that it saved."""
    from datasets import ClassLabel, load_dataset

    loaded = load_saved(local_path(path)) if is_saved(path) else from_hub(path, load_dataset)
    name, parts = describe(path, None), name_splits(loaded)
    train = parts.splits.get("train", [])
    if not train:
        raise UserError(f"The data set {name} has no split train, only {', '.join(loaded)}: give another --data.path.")
    for part in train:
        check_columns(columns, loaded[part].column_names, f"{name}, {part}")
    labelled = any(kind.startswith("label") for kind in columns)
    feature = loaded[train[0]].features[columns["label"]] if "label" in columns else None
    feature = getattr(feature, "feature", feature)  # of a list's members
    names = tuple(feature.names) if isinstance(feature, ClassLabel) else None
    classes, missing = {} if names is None else class_labels(names), form.missing

    def read(part: str, read_label: Callable[[Any, str], Any]) -> Iterator[Row]:
        check_columns(columns, loaded[part].column_names, f"{name}, {part}")
        batches = loaded[part].select_columns([*columns.values()]).iter(BATCH_ROWS)
        rows = chain.from_iterable(zip(*map(batch.get, columns.values()), strict=True) for batch in batches)
        for index, values in enumerate(rows):
            row = read_row(columns, values, f"{name}, {part}, row {index} (from 0)", read_label)
            yield row if isinstance(row.label, list) else row._replace(label=classes.get(row.label, row.label))

    if labelled:
        form = form.decided(read_splits(partial(read, read_label=lambda cell, _: cell), parts.splits)["train"])
        form = replace(form, names=names if form.problem in ("labels", "tags") else None)
    splits = read_splits(partial(read, read_label=form.read), parts.splits)
    if labelled:
        leave_unlabelled(splits, parts, missing if names is None else ())
    used = {part: loaded[part]._fingerprint for split in splits for part in parts.splits[split]}
    key = [columns, drop_incomplete, missing, used, *([how] if (how := form.for_cache()) else ())]
    return Source(
        description=name,
        fingerprint=hashlib.sha256(json.dumps(key).encode()).hexdigest(),
        splits=splits,
        label_names=names,
        labelled=labelled,
        drop_incomplete=drop_incomplete,
        files=parts,
        missing_labels=missing,
        form=form,
        paired="text.1" in columns,
    )
