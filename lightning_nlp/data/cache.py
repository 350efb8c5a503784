"""Folders that are either complete or not there: the token cache."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning_nlp.errors import UserError

CACHE_FORMAT = 1  # raise it when what a cache holds changes: old ones are then made anew


def cached_folder(cache_dir: Path, key: dict[str, Any], build: Callable[[Path], None]) -> Path:
    """The folder that `build` fills for `key`, built now or found complete.

    It is built under a temporary name and renamed when complete, so that a killed run leaves nothing that could be
    taken for a cache; a lock lets a second process wait for the first one's result.

    Args:
        cache_dir: Where caches lie.
        key: All that decides the content; any JSON values.
        build: Fills the empty folder that it is given.

    Returns:
        The complete folder.

    Raises:
        UserError: If the place cannot be written.
    """
    from filelock import FileLock

    digest = hashlib.sha256(json.dumps({"format": CACHE_FORMAT, **key}, sort_keys=True).encode()).hexdigest()[:20]
    folder = cache_dir / digest
    try:
        if folder.is_dir():
            return folder
        cache_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(cache_dir / f"{digest}.lock"):
            if folder.is_dir():  # another process has built it while this one waited
                return folder
            unfinished = cache_dir / f"{digest}.unfinished"
            # Left behind by a killed run, if it is there: the lock says that nobody builds.
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            try:
                build(unfinished)
                sync_tree(unfinished)
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    except OSError as error:
        raise UserError(
            f"The token cache cannot be written ({error.strerror or error}: {error.filename or cache_dir}): "
            "give another folder with --data.cache_dir, or free some space."
        ) from error
    return folder


def sync_tree(folder: Path) -> None:
    """Force a folder's files to the disk, so that a rename afterwards cannot name files without their content."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
