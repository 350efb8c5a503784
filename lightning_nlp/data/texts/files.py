"""Finds the files that a path names, and describes and hashes them."""

import glob
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lightning_nlp.data.texts.layout import HIDDEN, NO_TEXT, TABLES, Files, decide, file_format
from lightning_nlp.data.texts.lines import unreadable
from lightning_nlp.errors import UserError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def find_files(path: str, *, labelled: bool, suffixes: tuple[str, ...] = ()) -> Files[Path] | None:
    """Decide which files are which split; None if the path can only be a Hub id.

    The split is a word in the file's name, or else in the nearest folder's. Without one, a pattern's files are
    train, and a folder's are if they are parts of one table or have no labels.

    Args:
        labelled: Whether texts have labels: then they are in tables, or in one folder per class.
        suffixes: The formats to read, if not tables and, without labels, plain text.

    Raises:
        UserError: If `path` names nothing that can be read, or several data sets.
    """
    local = local_path(path)
    suffixes = suffixes or (TABLES if labelled else (".txt", *TABLES))
    try:
        if path and local.is_file():
            refuse_format(local, suffixes if labelled else ())
            return Files({"train": [local]}, {"train": [local.name]}, {})
        if path and (local.is_dir() or (glob.has_magic(path) and "://" not in path)):
            root, matches, is_glob = local, [Path()], not local.is_dir()
            if is_glob:
                root, pattern = _literal_part(local)
                matches = [Path(name) for name in sorted(glob.glob(pattern, root_dir=root, recursive=True))]
                # Spark writes a table as a folder of parts with the table's name
                matches = [m for m in matches if not (root / m).is_dir() or file_format(m) in TABLES]
            names = [*dict.fromkeys(name for match in matches for name in _below(root, match))]
            if is_saved(path):  # `map` leaves other files there
                suffixes, names = (".arrow",), [name for name in names if name.name.startswith("data-")]
            if files := decide(path, root, names, suffixes, labelled=labelled, glob=is_glob):
                return files
            known = ", ".join(suffixes) + (", or texts as train/CLASS/1.txt, CLASS/1.txt" if labelled else "")
            raise UserError(f"{path} has no data files ({known}): give another --data.path.")
    except OSError as error:
        raise unreadable(path, error) from error
    refuse_address(path)
    if file_format(local) in suffixes or not _HUB_ID.fullmatch(path):
        raise UserError(
            f"{path!r} is neither a file, a folder nor the id of a data set on the Hub (organisation/name): "
            "correct --data.path."
        )
    return None


def refuse_format(path: Path, suffixes: tuple[str, ...] = ()) -> None:
    """Raise a UserError if a file has none of the `suffixes` or, without these, is not plain text."""
    if file_format(path) in NO_TEXT or (suffixes and file_format(path) not in suffixes):
        cure = f"save it as one of {', '.join(suffixes or (*TABLES, '.txt'))}, and give that as --data.path"
        raise UserError(f"{path} has a format that is not supported: {cure}.")


def local_path(path: str) -> Path:
    """The path with "~" expanded."""
    return Path(os.path.expanduser(path))  # pathlib's own raises for an unknown ~user


def _below(root: Path, start: Path = Path(), above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield a file below `root`, or all files in that folder, skipping hidden folders and cyclic links."""
    folder = root / start
    if not folder.is_dir():
        yield start
    elif not start.name.startswith(HIDDEN) and (real := folder.resolve()) not in above:
        for entry in sorted(os.listdir(folder)):
            yield from _below(root, start / entry, (*above, real))


def _literal_part(pattern: Path) -> tuple[Path, str]:
    """Split a pattern into the literal folder that it begins with and the pattern below it."""
    root, parts = Path(pattern.anchor), [*pattern.parts[bool(pattern.anchor) :]]
    while len(parts) > 1 and (root / parts[0]).exists():
        root /= parts.pop(0)
    return root, str(Path(*parts))


def is_saved(path: str) -> bool:
    """Whether a path is a folder that `save_to_disk` of `datasets` wrote."""
    made = [os.path.isfile(local_path(path) / f"{name}.json") for name in ("dataset_dict", "dataset_info", "state")]
    return bool(path) and (made[0] or all(made[1:]))


def refuse_address(path: str) -> None:
    """Raise a UserError if a path is an address."""
    if "://" in path:
        raise UserError(
            f"{path} is an address, and only those of a Leipzig tar.gz (language models) and of text, JSONL or parquet "
            "(--data lightning_nlp.StreamingDataModule) can be read: download the file with "
            "`curl -LO` and give it as --data.path, or give the id of a data set on the Hub."
        )


def describe(path: str, files: Files[Path] | None) -> str:
    """A short name for the result of `find_files`, without folders."""
    if path and local_path(path).is_dir():
        return local_path(path).resolve().name
    names = [file.name for part in files.splits.values() for file in part] if files else [path]
    return names[0] + (f" (+{len(names) - 1} files)" if len(names) > 1 else "")


def hash_files(files: Iterable[tuple[str, Path]], options: dict[str, Any]) -> str:
    """The SHA-256 of all contents, each with its split, and of the options with which they are read."""
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for part, path in files:
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").digest()
        except OSError as error:
            raise unreadable(path, error) from error
        digest.update(f"\n{part} {file_format(path)} {path.suffix} ".encode() + content)
    return digest.hexdigest()
