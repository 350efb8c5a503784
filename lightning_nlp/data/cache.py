"""The token cache: folders that are either complete or do not exist."""

import hashlib
import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning_nlp.atomic_files import atomic_path
from lightning_nlp.errors import UserError, warn_user

CACHE_FORMAT = 4  # increase it when the content changes, so that old caches are rebuilt


def cached_folder(cache_dir: Path, key: dict[str, Any], build: Callable[[Path], None], own: Path | None = None) -> Path:
    """Return the complete folder for `key`; `build` fills it if it is new.

    A killed run leaves nothing that looks like a cache, and a second process waits for the first.

    Args:
        key: All that determines the content, as JSON values.
        own: A folder of another key, used instead if it is complete.

    Raises:
        UserError: If the cache cannot be written.
    """
    from filelock import FileLock

    digest = hashlib.sha256(json.dumps({"format": CACHE_FORMAT, **key}, sort_keys=True).encode()).hexdigest()[:20]
    folder = cache_dir / digest
    try:
        if own not in (None, folder) and own.is_dir() and broken_part(own) is None:
            return own
        if folder.is_dir() and broken_part(folder) is None:
            return folder
        cache_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(cache_dir / f"{digest}.lock"):
            if folder.is_dir():  # damaged, or meanwhile built by another process
                if (broken := broken_part(folder)) is None:
                    return folder
                warn_user(f"The cache {folder} is damaged ({broken}) and will be rebuilt.")
                shutil.rmtree(folder)
            with atomic_path(folder) as unfinished:
                unfinished.mkdir()
                build(unfinished)
                files = [path for path in unfinished.rglob("*") if path.is_file()]
                sizes = {str(path.relative_to(unfinished)): [path.stat().st_size, checksum(path)] for path in files}
                sizes_file(folder).write_text(json.dumps(sizes), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"The token cache cannot be written ({error.strerror or error}: {error.filename or cache_dir}): "
            "give another folder with --data.cache_dir, or free some space."
        ) from error
    return folder


def sizes_file(folder: Path) -> Path:
    """The file of sizes and checksums; it lies beside the folder, which contains only what was built."""
    return folder.with_name(f"{folder.name}.sizes")


def checksum(path: Path) -> int:
    """The CRC-32 of a file, which any flipped bit changes; 1 GiB takes 0.4 s if in memory."""
    crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc = zlib.crc32(block, crc)
    return crc


def broken_part(folder: Path) -> str | None:
    """What is wrong with a `cached_folder` (a file removed, a copy broken off, a bad disk), or None."""
    try:
        for name, written in json.loads(sizes_file(folder).read_text()).items():
            path = folder / name
            if not path.is_file() or written != [path.stat().st_size, checksum(path)]:
                return f"{name} is missing or has changed since it was written"
    except (OSError, ValueError, AttributeError):
        return f"{sizes_file(folder).name} is missing or cannot be read"
    return None
