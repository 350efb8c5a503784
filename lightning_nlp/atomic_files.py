"""Files and folders written completely or not at all, even after a power cut."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path for a file or folder, renamed to `path` once it is on the disk.

    If the block raises, `path` keeps its old content. Its parent must exist.
    """
    unfinished, replaced = (path.with_name(path.name + suffix) for suffix in (".unfinished", ".replaced"))
    if replaced.is_dir() and not path.exists():  # an earlier process was killed between the two renames below
        replaced.rename(path)
    _remove(unfinished)
    try:
        yield unfinished
        for part in [*unfinished.rglob("*"), unfinished]:
            _sync(part)
        if unfinished.is_dir() and path.is_dir():  # a rename replaces files, but not folders
            _remove(replaced)
            path.rename(replaced)
        try:
            unfinished.replace(path)
        except OSError:
            if replaced.is_dir():
                replaced.rename(path)
            raise
        _sync(path.parent)
    finally:
        _remove(unfinished)
    _remove(replaced)


@contextlib.contextmanager
def whole_file(path: Path, mode: str = "wb") -> Iterator[Any]:
    """An open file that `atomic_path` renames; mode "w" writes UTF-8 and keeps line ends."""
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "")
    with atomic_path(path) as unfinished, unfinished.open(mode, encoding=encoding, newline=newline) as file:
        yield file


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole, text as UTF-8, and create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def write_tensors(path: Path, tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> None:
    """Write a safetensors file with `metadata` in its header, as `write_whole` does."""
    from safetensors.torch import save

    write_whole(path, save(tensors, metadata))


def _sync(path: Path) -> None:
    """Force a file's content, or a folder's names, to the disk."""
    if os.name == "nt":  # Windows cannot open folders, and syncs only files opened for writing
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):  # it is a folder, does not exist, or its name is too long
        path.unlink()
