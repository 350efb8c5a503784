"""Files that are there whole or not at all, also after a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name, and rename it when all of it is on the disk.

    Args:
        path: The file; its folder is made.
        content: What it holds; text becomes UTF-8.

    Raises:
        OSError: If it cannot be written; an earlier file stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def put_in_place(unfinished: Path, target: Path) -> None:
    """Rename a file or folder whose content is on the disk, and force the new name to the disk too.

    Args:
        unfinished: Its temporary name, in the same folder.
        target: Its name; a file there is replaced.

    Raises:
        OSError: If it cannot be renamed.
    """
    unfinished.replace(target)
    descriptor = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
