"""Where texts come from: files, folders, the aclImdb tree, Leipzig sentences, the Hub, or the embedded demos."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_nlp.data.columns import Row, as_row, check_columns, name_columns
from lightning_nlp.data.delimited import UTF8, Dialect
from lightning_nlp.data.download import leipzig_archive
from lightning_nlp.data.files import SPLITS, describe, find_files, hash_files, local_path
from lightning_nlp.data.hub_texts import load_from_hub
from lightning_nlp.data.labels import MISSING
from lightning_nlp.data.readers import BATCH_ROWS, TABLES, file_format, read_sentences, read_table, unreadable
from lightning_nlp.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

LEIPZIG_ESPERANTO = "https://downloads.wortschatz-leipzig.de/corpora/epo_literature_2011_300K.tar.gz"
DEMO_REVIEWS = {"train": (10_000, 0), "test": (2_000, 1)}  # number and seed
DEMO_SENTENCES = {"train": (20_000, 0)}
ACL_LABELS = ("neg", "pos")


@dataclass(frozen=True)
class Source:
    """A data set: where it comes from and how to read its splits.

    Attributes:
        description: A short name for the model card, without folders, such as "reviews.csv".
        fingerprint: SHA-256 of the contents and of how they are read, in hexadecimal.
        splits: A function for each split that reads it from the start; "train" is always there.
        label_names: The classes in the order of their ids, where the data says it.
        labelled: Whether each row must have a label; None tells it by the first row of train.
        drop_incomplete: Whether rows without text or label are dropped and counted, or else an error.
        missing_labels: What stands for a missing label, in any case; None for `MISSING`.
    """

    description: str
    fingerprint: str
    splits: dict[str, Callable[[], Iterator[Row]]]
    label_names: tuple[str, ...] | None
    labelled: bool | None = None
    drop_incomplete: bool = False
    missing_labels: tuple[str, ...] | None = None

    def label_name(self, row: Row) -> str | None:
        """The name of a row's class; None where it has none, or something that stands for a missing one."""
        names, name = self.label_names, str(row.label)
        if names is None:
            missing = MISSING if self.missing_labels is None else self.missing_labels
            return None if row.label is None or name.casefold() in missing else name
        if row.label is None:
            return None
        name = names[row.label] if isinstance(row.label, int) and 0 <= row.label < len(names) else name
        if name not in names:
            raise UserError(
                f"The label {name!r} is none of {', '.join(names)}: {row.where}; correct it, or give another "
                "--data.label_column."
            )
        return name


def labelled_source(
    path: str,
    *,
    text_column: str = "text",
    label_column: str = "label",
    group_column: str | None = None,
    drop_incomplete: bool = False,
    missing_labels: list[str | int] | None = None,
    dialect: Dialect = UTF8,
) -> Source:
    """Find labelled texts.

    Args:
        path: A CSV, TSV, JSONL (all also .gz) or parquet file, a glob of them, a folder of them whose names tell the
            split, the aclImdb tree, the id of a data set on the Hub, or "demo". What exists locally wins over the Hub.
        text_column: The column with the text.
        label_column: The column with the label.
        group_column: The column with the group, such as the author.
        drop_incomplete: Drop rows without text or label instead of stopping at them.
        missing_labels: What stands for a missing label; None for `MISSING`.
        dialect: How text files are written.

    Returns:
        The source. Its files are found and hashed, their rows not read yet.

    Raises:
        UserError: If `path` names nothing, or nothing of a format that is read here.
    """
    columns = name_columns(text_column, label_column, group_column)
    missing = None if missing_labels is None else tuple(str(label).casefold() for label in missing_labels)
    if path == "demo":
        from lightning_nlp.data import demo

        _refuse_groups(group_column, "the demo")
        return _demo(demo, demo.demo_reviews, DEMO_REVIEWS)
    tree = local_path(path)
    # os.path: pathlib raises for names that no file can have.
    if path and all(os.path.isdir(tree / "train" / label) for label in ACL_LABELS):
        _refuse_groups(group_column, path)
        return _acl_imdb(tree, drop_incomplete)
    files = find_files(path, labelled=True)
    if files is None:
        return _hub_source(path, columns, drop_incomplete, missing)
    names = (text_column, label_column, group_column)
    how = {**columns, "drop_incomplete": drop_incomplete, "missing_labels": missing_labels, **asdict(dialect)}
    return Source(
        description=describe(path, files),
        fingerprint=hash_files(files, how),
        splits={
            split: partial(_read_all, lambda file: read_table(file, *names, dialect), part)
            for split, part in files.items()
        },
        label_names=None,
        labelled=True,
        drop_incomplete=drop_incomplete,
        missing_labels=missing,
    )


def text_source(
    path: str | None,
    *,
    text_column: str = "text",
    group_column: str | None = None,
    cache_dir: Path,
    dialect: Dialect = UTF8,
) -> Source:
    """Find texts without labels.

    Args:
        path: A text file with one sentence a line or in the Leipzig format `id<TAB>sentence`, a CSV, TSV or JSONL file
            (all also .gz), a parquet file, a glob or folder of them, the id of a data set on the Hub, the http(s)
            address of a Leipzig tar.gz, or "demo". None is the Leipzig corpus epo_literature_2011_300K.
        text_column: The column with the text, for files that have columns.
        group_column: The column with the group, such as the document.
        cache_dir: Where downloads are kept.
        dialect: How text files are written.

    Returns:
        The source. Its files are found (or downloaded) and hashed, their rows not read yet.

    Raises:
        UserError: If `path` names nothing, or if the download fails.
    """
    if path == "demo":
        from lightning_nlp.data import demo_esperanto

        _refuse_groups(group_column, "the demo")
        return _demo(demo_esperanto, demo_esperanto.demo_esperanto, DEMO_SENTENCES)
    if path is None or path.startswith(("http://", "https://")):
        folder = leipzig_archive(path or LEIPZIG_ESPERANTO, cache_dir)
        files: dict[str, list[Path]] | None = {"train": sorted(folder.glob("*-sentences.txt"))}
        path = ""  # its folder's name is only a hash: described by the file
    else:
        files = find_files(path, labelled=False)
    if files is None:
        return _hub_source(path, name_columns(text_column, group=group_column), drop_incomplete=False)

    def reader(file: Path) -> Iterator[Row]:
        if file_format(file) in TABLES:
            return read_table(file, text_column, group_column=group_column, dialect=dialect)
        _refuse_groups(group_column, file.name)
        return read_sentences(file, dialect.encoding)

    return Source(
        description=describe(path, files),
        fingerprint=hash_files(files, {"text_column": text_column, "group_column": group_column, **asdict(dialect)}),
        splits={split: partial(_read_all, reader, part) for split, part in files.items()},
        label_names=None,
        labelled=False,
    )


def _refuse_groups(group_column: str | None, what: str) -> None:
    if group_column is not None:
        raise UserError(f"{what} has no columns, so there is no {group_column!r}: leave out --data.group_column.")


def _read_all(reader: Callable[[Path], Iterator[Row]], files: list[Path]) -> Iterator[Row]:
    for file in files:
        yield from reader(file)


def _acl_imdb(folder: Path, drop_incomplete: bool) -> Source:
    """The tree of Maas et al. (2011) as they publish it: train/pos/0_9.txt is review 0, which gives 9 of 10 stars."""
    files = {}
    for split in ("train", "test"):
        for label in ACL_LABELS:
            paths = (folder / split / label).glob("*.txt")
            files[f"{split}/{label}"] = sorted(paths, key=lambda p: ([*map(int, re.findall(r"\d+", p.stem))], p.name))
    splits = [split for split in ("train", "test") if (folder / split).is_dir()]
    for split in splits:
        if not all(files[f"{split}/{label}"] for label in ACL_LABELS):
            raise UserError(f"{folder / split} lacks reviews in neg or pos (*.txt): unpack aclImdb_v1.tar.gz again.")
    places = [folder / name for name in files if not (folder / name).resolve().is_relative_to(folder.resolve())]
    files_only = (path for paths in files.values() for path in paths if path.is_symlink() or not path.is_file())
    if odd := next(chain(places, files_only), None):  # a stranger's tree must not show what lies elsewhere
        raise UserError(f"{odd} is a link or a device: give --data.path a tree of plain files (`cp -rL` makes one).")

    def read(split: str) -> Iterator[Row]:
        for label in ACL_LABELS:
            for path in files[f"{split}/{label}"]:
                try:
                    text = path.read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError) as error:
                    raise unreadable(path, error) from error
                yield Row(text, label, f"{split}/{label}/{path.name}")

    return Source(
        description=folder.resolve().name,
        fingerprint=hash_files(files, {"drop_incomplete": drop_incomplete}),
        splits={split: partial(read, split) for split in splits},
        label_names=ACL_LABELS,
        labelled=True,
        drop_incomplete=drop_incomplete,
    )


def _hub_source(
    name: str, columns: dict[str, str], drop_incomplete: bool, missing: tuple[str, ...] | None = None
) -> Source:
    from datasets import ClassLabel

    loaded = load_from_hub(name)
    if "train" not in loaded:
        raise UserError(f"The data set {name} has no split train, only {', '.join(loaded)}: give another --data.path.")
    labels, names = None, [*columns.values()]
    for split in SPLITS:
        if split in loaded:
            check_columns(columns, loaded[split].column_names, f"{name}, {split}")
    if "label" in columns and isinstance(loaded["train"].features[columns["label"]], ClassLabel):
        labels = loaded["train"].features[columns["label"]]
    # Benchmarks publish test splits with -1 for each label: there is nothing to compare with.
    splits = [
        split for split in SPLITS if split in loaded and (labels is None or _has_label(loaded[split], columns["label"]))
    ]

    def read(split: str) -> Iterator[Row]:
        index = 0
        for batch in loaded[split].select_columns(names).iter(BATCH_ROWS):
            for values in zip(*(batch[column] for column in names), strict=True):
                row = as_row(columns, values, f"{name}, {split}, row {index} (from 0)")
                if labels is not None and isinstance(row.label, int):
                    row = row._replace(label=labels.int2str(row.label) if row.label >= 0 else None)
                yield row
                index += 1

    how = json.dumps([columns, drop_incomplete, missing, {split: loaded[split]._fingerprint for split in splits}])
    return Source(
        description=name,
        fingerprint=hashlib.sha256(how.encode()).hexdigest(),
        splits={split: partial(read, split) for split in splits},
        label_names=None if labels is None else tuple(labels.names),
        labelled="label" in columns,
        drop_incomplete=drop_incomplete,
        missing_labels=missing,
    )


def _has_label(dataset: Dataset, column: str) -> bool:
    import pyarrow.compute as pc

    highest = pc.max(dataset.data.column(column)).as_py()
    return highest is not None and highest >= 0


def _demo(module: Any, generate: Callable[[int, int], Iterable[Any]], sizes: dict[str, tuple[int, int]]) -> Source:
    labelled = sizes is DEMO_REVIEWS

    def read(split: str) -> Iterator[Row]:
        for index, row in enumerate(generate(*sizes[split])):
            text, label = row if labelled else (row, None)
            yield Row(text, label, f"demo, {split}, row {index} (from 0)")

    return Source(
        description=f"demo (generated {'reviews' if labelled else 'Esperanto'})",
        fingerprint=hash_files({"demo": [Path(module.__file__)]}, {"sizes": sizes}),
        splits={split: partial(read, split) for split in sizes},
        label_names=None,
        labelled=labelled,
    )
