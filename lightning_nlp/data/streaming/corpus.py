"""The shards of a corpus, and their rows one after the other, without a copy on disk."""

from __future__ import annotations

import glob
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import fsspec.compression
import numpy as np

from lightning_nlp.data.texts.columns import as_text, check_columns
from lightning_nlp.data.texts.files import describe, find_files
from lightning_nlp.data.texts.hub_texts import from_hub
from lightning_nlp.data.texts.layout import Files, name_splits
from lightning_nlp.data.texts.lines import open_zstd
from lightning_nlp.data.texts.readers import LEIPZIG_SAMPLE, file_format, leipzig_sentence
from lightning_nlp.errors import UserError, one_line

if TYPE_CHECKING:
    from datasets import IterableDataset

CHUNK_ROWS = 1000  # rows read at a time
BUILDERS = {".jsonl": "json", ".parquet": "parquet", ".arrow": "arrow"}  # all others are text
REFUSED = (".csv", ".tsv")  # a row may span lines, so a damaged row would swallow the rest
TEXT = "text"  # the name that `datasets` gives the only column of a text file
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True)
class Corpus:
    """A corpus of shards."""

    description: str  # a short name for the model card
    fingerprint: str  # SHA-256 of the shards' names, sizes or dates and reading options, not contents
    streams: dict[str, IterableDataset]  # by split; "train" is always there
    names: dict[str, list[str]]  # the shards' file names by split, for messages; empty if unknown
    text_column: str
    files: Files[Any]  # the files, or splits of a data set, that they come from
    leipzig: bool = False  # whether lines are `id<TAB>sentence`

    def shards(self, split: str = "train") -> int:
        """How many shards a split has."""
        return self.streams[split].num_shards

    def rows(self, split: str, shard: int, *, row: int = 0, part: int = 0, parts: int = 1) -> Iterator[tuple[int, str]]:
        """Yield rows from `row` on with number % parts == part, numbered; raises a UserError if unreadable."""
        names = self.names.get(split, [])
        place = names[shard] if len(names) == self.shards(split) else f"shard {shard} (from 0)"
        if place.startswith("http"):
            _read_texts_over_http()
        stream = self.streams[split].shard(self.shards(split), shard)
        first = 0
        try:
            for table in stream.iter(CHUNK_ROWS):
                if first == 0:
                    check_columns({"text": self.text_column}, table.column_names, place)
                begin = max(first, row)
                numbers = np.arange(begin + (part - begin) % parts, first + len(table), parts)
                cells = table.column(self.text_column).take(numbers - first).to_pylist()
                for number, cell in zip(numbers.tolist(), cells, strict=True):
                    text = as_text(cell, f"{place}, row {number} (from 0)")
                    yield number, leipzig_sentence(text) if self.leipzig else text
                first += len(table)
        except UserError:
            raise
        except Exception as error:  # datasets, pyarrow and fsspec do not document their errors
            raise UserError(
                f"{place} cannot be read after row {first} ({type(error).__name__}: {one_line(error)[:200]}): create "
                "it again, or give another --data.path; --resume auto then continues a training."
            ) from error


def find_corpus(path: str | None, *, text_column: str = "text") -> Corpus:
    """Find the shards of a corpus, and read its first texts, to tell their format.

    Args:
        path: Text, JSONL (also .gz or .zst) or parquet files: a file, glob, folder or address, or the id of a data
            set on the Hub, if nothing local has that name.

    Raises:
        UserError: If `path` cannot be streamed.
    """
    from datasets import load_dataset_builder

    if path is None or path == "demo" or re.fullmatch(r"https?://.*\.(tar(\.gz)?|tgz|zip)", path):
        raise UserError(
            f"--data.path {path} cannot be streamed: give files, a glob, addresses or a data set of the Hub, or read "
            "it into a cache with --data MaskedLanguageModelingDataModule."
        )
    files, found = dict[str, list[str]](), None
    if "://" in path:
        files = {"train": addresses(path)}
        shown: Files[Any] = Files({}, {"train": [PurePosixPath(urlsplit(a).path).name for a in files["train"]]}, {})
    elif (found := find_files(path, labelled=False)) is not None:
        files = {split: [glob.escape(str(file.resolve())) for file in part] for split, part in found.splits.items()}
        shown = found
    builder = _files_builder(path, files) if files else from_hub(path, load_dataset_builder)
    parts = name_splits(builder.config.data_files)
    if "train" not in parts.splits:
        raise UserError(f"The data set {path} has no split train: give another --data.path.")
    if not files:
        shown = parts
        parts.left_out["a stream takes the first of a kind"] = [n for part in parts.names.values() for n in part[1:]]
        for part in parts.names.values():
            del part[1:]
    first = {split: part[0] for split, part in parts.splits.items()}
    data_files = {split: builder.config.data_files[name] for split, name in first.items()}
    known = {split: sorted(map(str, part.origin_metadata)) for split, part in data_files.items()}
    known["how"] = [text_column, *sorted(map(str, files.values()))]
    corpus = Corpus(
        description=PurePosixPath(path).name if "://" in path else describe(path, found),
        fingerprint=hashlib.sha256(json.dumps(known).encode()).hexdigest(),
        streams={split: builder.as_streaming_dataset(name).with_format("arrow") for split, name in first.items()},
        names={split: [str(name) for name in part] for split, part in data_files.items()},
        text_column=TEXT if builder.dataset_name == "text" and files else text_column,
        files=shown,
    )
    head = [text for _, text in islice(corpus.rows("train", 0), LEIPZIG_SAMPLE) if text.strip()]
    leipzig = bool(head) and all(leipzig_sentence(text) != text for text in head)
    return replace(corpus, leipzig=leipzig)


# `datasets` opens compressed files through fsspec, which does not notice a file that was cut off
fsspec.compression.register_compression("zstd", lambda file, *_, **__: open_zstd(file), "zst", force=True)


@cache
def _read_texts_over_http() -> None:
    """Make fsspec ignore the text encoding that `datasets` passes on; it would report a missing file."""
    from fsspec.implementations.http import HTTPFileSystem

    class Http(HTTPFileSystem):
        def __init__(self, *args: Any, encoding: str = "", errors: str = "", **options: Any) -> None:
            super().__init__(*args, **options)

    for protocol in ("http", "https"):
        fsspec.register_implementation(protocol, Http, clobber=True)


def addresses(path: str) -> list[str]:
    """The addresses behind one with `{00..99}` in it; leading zeros are kept."""
    match = _RANGE.search(path)
    if match is None:
        return [path]
    first, last = match.groups()
    width = len(first) if first.startswith("0") else 0
    numbers = range(int(first), int(last) + 1)
    if not numbers:
        raise UserError(f"--data.path {path} names no address: {match[0]} counts from {first} down to {last}.")
    before, after = path[: match.start()], addresses(path[match.end() :])
    return [f"{before}{number:0{width}}{rest}" for number in numbers for rest in after]


def _files_builder(path: str, files: dict[str, list[str]]) -> Any:
    from datasets import load_dataset_builder

    formats = {file_format(PurePosixPath(file.partition("?")[0])) for part in files.values() for file in part}
    if len(formats) > 1:
        raise UserError(
            f"The shards of {path} have several formats ({', '.join(sorted(formats))}): give --data.path those of one."
        )
    if (suffix := formats.pop()) in REFUSED:
        raise UserError(f"{path} cannot be streamed as {suffix}: give parquet, JSONL or text files.")
    try:
        return load_dataset_builder(BUILDERS.get(suffix, "text"), data_files=files)
    except Exception as error:  # see `rows`
        raise UserError(
            f"The shards of {path} cannot be opened ({type(error).__name__}: {one_line(error)[:200]}): correct "
            "--data.path, or check the network."
        ) from error
