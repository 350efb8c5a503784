"""Files that are there whole or not at all, also after a power cut."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def whole_file(path: Path, mode: str = "wb") -> Iterator[Any]:
    """A file that has its name only when all of it is written and on the disk; an earlier one stays until then.

    Args:
        path: Where it is to be; its folder is there.
        mode: "wb", or "w" for UTF-8.

    Raises:
        OSError: If it cannot be written.
    """
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        encoding, newline = (None, None) if "b" in mode else ("utf-8", "")
        with unfinished.open(mode, encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        put_in_place(unfinished, path)
    finally:
        with contextlib.suppress(OSError):  # there is none, or its name is too long
            unfinished.unlink()


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, and its folder, as `whole_file` does; text becomes UTF-8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def put_in_place(unfinished: Path, target: Path) -> None:
    """Rename a file or folder whose content is on the disk, and force the new name to the disk too."""
    unfinished.replace(target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Force a file's content, or a folder's names, to the disk."""
    if os.name == "nt":  # opens no folders, and syncs only what is open for writing
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
