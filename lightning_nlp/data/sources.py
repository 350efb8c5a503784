"""Where texts come from: files, folders, the aclImdb tree, Leipzig sentences, the Hub, or the embedded demos."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_nlp.data.download import leipzig_archive
from lightning_nlp.data.readers import (
    BATCH_ROWS,
    TABLES,
    Row,
    as_label,
    as_text,
    check_columns,
    file_format,
    read_sentences,
    read_table,
    unreadable,
)
from lightning_nlp.errors import UserError

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = ("train", "validation", "test")
LEIPZIG_ESPERANTO = "https://downloads.wortschatz-leipzig.de/corpora/epo_literature_2011_300K.tar.gz"
DEMO_REVIEWS = {"train": (10_000, 0), "test": (2_000, 1)}  # number and seed
DEMO_SENTENCES = 20_000
ACL_LABELS = ("neg", "pos")
SUBFOLDERS = ("plain_text", "data")  # where repositories of the Hub keep their files
# Seconds before each attempt: a 503 or a cut connection is usually over at the second one, and what came is kept.
HUB_ATTEMPTS = (0.0, 0.5, 1.0, 2.0)

_SPLIT_WORD = re.compile(r"(?:(train)|(valid|val|dev)|(test))(?:ing|ation|set|data|split)?")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


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
    """

    description: str
    fingerprint: str
    splits: dict[str, Callable[[], Iterator[Row]]]
    label_names: tuple[str, ...] | None
    labelled: bool | None = None
    drop_incomplete: bool = False


def labelled_source(
    path: str, *, text_column: str = "text", label_column: str = "label", drop_incomplete: bool = False
) -> Source:
    """Find labelled texts.

    Args:
        path: A CSV, TSV, JSONL (all also .gz) or parquet file, a glob of them, a folder of them whose names tell the
            split, the aclImdb tree, the id of a data set on the Hub, or "demo". What exists locally wins over the Hub.
        text_column: The column with the text.
        label_column: The column with the label.
        drop_incomplete: Drop rows without text or label instead of stopping at them.

    Returns:
        The source. Its files are found and hashed, their rows not read yet.

    Raises:
        UserError: If `path` names nothing, or nothing of a format that is read here.
    """
    options = {"text_column": text_column, "label_column": label_column, "drop_incomplete": drop_incomplete}
    if path == "demo":
        return _demo_reviews()
    tree = _local(path)
    # os.path: pathlib raises for names that no file can have.
    if path and all(os.path.isdir(tree / "train" / label) for label in ACL_LABELS):
        return _acl_imdb(tree, drop_incomplete)
    files = _find_files(path, labelled=True)
    if files is None:
        return _hub_source(path, [text_column, label_column], drop_incomplete)
    reader = partial(read_table, text_column=text_column, label_column=label_column)
    return Source(
        description=_describe(path, files),
        fingerprint=_hash_files(files, options),
        splits={split: partial(_read_all, reader, part) for split, part in files.items()},
        label_names=None,
        labelled=True,
        drop_incomplete=drop_incomplete,
    )


def text_source(path: str | None, *, text_column: str = "text", cache_dir: Path) -> Source:
    """Find texts without labels.

    Args:
        path: A text file with one sentence a line or in the Leipzig format `id<TAB>sentence`, a CSV, TSV or JSONL file
            (all also .gz), a parquet file, a glob or folder of them, the id of a data set on the Hub, the http(s)
            address of a Leipzig tar.gz, or "demo". None is the Leipzig corpus epo_literature_2011_300K.
        text_column: The column with the text, for files that have columns.
        cache_dir: Where downloads are kept.

    Returns:
        The source. Its files are found (or downloaded) and hashed, their rows not read yet.

    Raises:
        UserError: If `path` names nothing, or if the download fails.
    """
    if path == "demo":
        return _demo_sentences()
    if path is None or path.startswith(("http://", "https://")):
        folder = leipzig_archive(path or LEIPZIG_ESPERANTO, cache_dir)
        files: dict[str, list[Path]] | None = {"train": sorted(folder.glob("*-sentences.txt"))}
        path = ""  # its folder's name is only a hash: described by the file
    else:
        files = _find_files(path, labelled=False)
    if files is None:
        return _hub_source(path, [text_column], drop_incomplete=False)

    def reader(file: Path) -> Iterator[Row]:
        return read_table(file, text_column) if file_format(file) in TABLES else read_sentences(file)

    return Source(
        description=_describe(path, files),
        fingerprint=_hash_files(files, {"text_column": text_column}),
        splits={split: partial(_read_all, reader, part) for split, part in files.items()},
        label_names=None,
        labelled=False,
    )


def _find_files(path: str, *, labelled: bool) -> dict[str, list[Path]] | None:
    """The files of each split, or None if `path` can only be an id of the Hub."""
    local = _local(path)
    suffixes = TABLES if labelled else (*TABLES, ".txt")
    known = ", ".join(suffixes)
    try:
        if path and local.is_file():
            if labelled and file_format(local) not in suffixes:
                raise UserError(f"{path} is in no format that is read here: give --data.path one of {known}.")
            return {"train": [local]}
        if path and local.is_dir():
            for folder in (local, *(local / name for name in SUBFOLDERS)):
                candidates = sorted(folder.iterdir()) if folder.is_dir() else []
                found = [file for file in candidates if file.is_file() and file_format(file) in suffixes]
                # An unpacked Leipzig archive also holds lists of words and of sources.
                sentences = [file for file in found if file.name.removesuffix(".gz").endswith("-sentences.txt")]
                if found:
                    return _assign_splits(path, sentences or found, needs_split_words=labelled)
            raise UserError(f"The folder {path} holds no data files ({known}): give another --data.path.")
        if glob.has_magic(path):
            found = [Path(name) for name in sorted(glob.glob(str(local), recursive=True)) if Path(name).is_file()]
            data_files = [file for file in found if file_format(file) in suffixes]
            found = data_files if labelled else data_files or found  # any file can be plain text
            if not found:
                raise UserError(f"No data file ({known}) matches {path}: correct --data.path.")
            return _assign_splits(path, found, needs_split_words=False)
    except OSError as error:
        raise unreadable(path, error) from error
    if file_format(local) in suffixes or not _HUB_ID.fullmatch(path):
        raise UserError(
            f"{path!r} is neither a file, a folder nor the id of a data set on the Hub (organisation/name): "
            "correct --data.path."
        )
    return None


def _local(path: str) -> Path:
    return Path(os.path.expanduser(path))  # pathlib's own raises for an unknown ~user


def _assign_splits(path: str, files: list[Path], *, needs_split_words: bool) -> dict[str, list[Path]]:
    """Sort files by the split that their names tell; without any such name all are train, unless names must tell."""
    splits: dict[str, list[Path]] = {split: [] for split in SPLITS}
    for file in files:
        # Whole words only: "contest.csv", "interval.csv" and "testament.txt" name no split.
        matches = map(_SPLIT_WORD.fullmatch, re.split(r"[^a-z]+", file.name.lower()))
        if match := next(filter(None, matches), None):
            assert match.lastindex is not None
            splits[SPLITS[match.lastindex - 1]].append(file)
    if not any(splits.values()) and not needs_split_words:
        return {"train": files}
    if not splits["train"]:
        names = ", ".join(file.name for file in files[:5]) + (", ..." if len(files) > 5 else "")
        raise UserError(
            f"No file in {path} is named as the train split: found {names}; rename one to "
            f"train{file_format(files[0])}, or give --data.path a single file."
        )
    return {split: part for split, part in splits.items() if part}


def _describe(path: str, files: dict[str, list[Path]]) -> str:
    if path and _local(path).is_dir():
        return _local(path).resolve().name
    names = [file.name for part in files.values() for file in part]
    return names[0] + (f" (+{len(names) - 1} files)" if len(names) > 1 else "")


def _hash_files(files: dict[str, list[Path]], options: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for part, paths in files.items():
        for path in paths:
            try:
                with path.open("rb") as file:
                    content = hashlib.file_digest(file, "sha256").digest()
            except OSError as error:
                raise unreadable(path, error) from error
            digest.update(f"\n{part} {file_format(path)} {path.suffix} ".encode() + content)
    return digest.hexdigest()


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
        fingerprint=_hash_files(files, {"drop_incomplete": drop_incomplete}),
        splits={split: partial(read, split) for split in splits},
        label_names=ACL_LABELS,
        labelled=True,
        drop_incomplete=drop_incomplete,
    )


def _hub_source(name: str, columns: list[str], drop_incomplete: bool) -> Source:
    from datasets import ClassLabel

    loaded = _load_from_hub(name)
    if "train" not in loaded:
        raise UserError(f"The data set {name} has no split train, only {', '.join(loaded)}: give another --data.path.")
    labels = None
    for split in SPLITS:
        if split in loaded:
            check_columns(columns, loaded[split].column_names, f"{name}, {split}")
    if len(columns) == 2 and isinstance(loaded["train"].features[columns[1]], ClassLabel):
        labels = loaded["train"].features[columns[1]]
    # Benchmarks publish test splits with -1 for each label: there is nothing to compare with.
    splits = [
        split for split in SPLITS if split in loaded and (labels is None or _has_label(loaded[split], columns[1]))
    ]

    def read(split: str) -> Iterator[Row]:
        index = 0
        for batch in loaded[split].select_columns(columns).iter(BATCH_ROWS):
            for values in zip(*(batch[column] for column in columns), strict=True):
                where = f"{name}, {split}, row {index} (from 0)"
                label = as_label(values[1], where) if len(columns) == 2 else None
                if labels is not None and isinstance(label, int):
                    label = labels.int2str(label) if label >= 0 else None
                yield Row(as_text(values[0], where), label, where)
                index += 1

    how = json.dumps([columns, drop_incomplete, {split: loaded[split]._fingerprint for split in splits}])
    return Source(
        description=name,
        fingerprint=hashlib.sha256(how.encode()).hexdigest(),
        splits={split: partial(read, split) for split in splits},
        label_names=None if labels is None else tuple(labels.names),
        labelled=len(columns) == 2,
        drop_incomplete=drop_incomplete,
    )


def _has_label(dataset: Dataset, column: str) -> bool:
    import pyarrow.compute as pc

    highest = pc.max(dataset.data.column(column)).as_py()
    return highest is not None and highest >= 0


def _load_from_hub(name: str) -> dict[str, Dataset]:
    """Download a data set, or take it from the Hub's cache, with a few attempts."""
    import httpx2
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub import constants

    for attempt, delay in enumerate(HUB_ATTEMPTS, start=1):
        time.sleep(delay)
        try:
            return load_dataset(name)
        except DatasetNotFoundError as error:
            raise UserError(
                f"{name!r} is neither a local file or folder nor a public data set on {constants.ENDPOINT}: correct "
                "--data.path, or log in with `hf auth login` if it is private."
            ) from error
        except (OSError, httpx2.HTTPError, DatasetsError) as error:
            # A ConnectionError comes after the library's own attempts, which take 23 s.
            if attempt == len(HUB_ATTEMPTS) or isinstance(error, ConnectionError):
                raise UserError(
                    f"Could not fetch the data set {name!r} from {constants.ENDPOINT} ({_first_line(error)}): check "
                    "the network, or give a local file or folder with --data.path."
                ) from error
        except (ValueError, RuntimeError) as error:  # several configurations, or a script of its own
            raise UserError(
                f"The data set {name!r} cannot be loaded by its id alone ({_first_line(error)}): save it to files and "
                "give them with --data.path."
            ) from error
    raise AssertionError("the last attempt returns or raises")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def _demo_reviews() -> Source:
    from lightning_nlp.data import demo

    def read(split: str) -> Iterator[Row]:
        number, seed = DEMO_REVIEWS[split]
        for index, (text, label) in enumerate(demo.demo_reviews(number, seed)):
            yield Row(text, label, f"demo, {split}, row {index} (from 0)")

    return Source(
        description="demo (generated reviews)",
        fingerprint=_hash_files({"demo": [Path(demo.__file__)]}, {"sizes": DEMO_REVIEWS}),
        splits={split: partial(read, split) for split in DEMO_REVIEWS},
        label_names=None,
        labelled=True,
    )


def _demo_sentences() -> Source:
    from lightning_nlp.data import demo_esperanto

    def read() -> Iterator[Row]:
        for index, text in enumerate(demo_esperanto.demo_esperanto(DEMO_SENTENCES, 0)):
            yield Row(text, None, f"demo, train, row {index} (from 0)")

    return Source(
        description="demo (generated Esperanto)",
        fingerprint=_hash_files({"demo": [Path(demo_esperanto.__file__)]}, {"size": DEMO_SENTENCES}),
        splits={"train": read},
        label_names=None,
        labelled=False,
    )
