"""Which files a path stands for, and which split each of them is."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from lightning_nlp.data.readers import TABLES, file_format, unreadable
from lightning_nlp.errors import UserError

SPLITS = ("train", "validation", "test")
SUBFOLDERS = ("plain_text", "data")  # where repositories of the Hub keep their files

_SPLIT_WORD = re.compile(r"(?:(train)|(valid|val|dev)|(test))(?:ing|ation|set|data|split)?")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def find_files(path: str, *, labelled: bool) -> dict[str, list[Path]] | None:
    """The files of each split, or None if `path` can only be an id of the Hub."""
    local = local_path(path)
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


def local_path(path: str) -> Path:
    """The path with the user's folder for "~"."""
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


def describe(path: str, files: dict[str, list[Path]]) -> str:
    """A short name for the files of `find_files`, without folders."""
    if path and local_path(path).is_dir():
        return local_path(path).resolve().name
    names = [file.name for part in files.values() for file in part]
    return names[0] + (f" (+{len(names) - 1} files)" if len(names) > 1 else "")


def hash_files(files: dict[str, list[Path]], options: dict[str, Any]) -> str:
    """The SHA-256 of all contents, of which split each is, and of the options that they are read with."""
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
