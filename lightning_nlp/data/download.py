"""Downloads an archive of the Leipzig Corpora Collection and takes the sentences out of it."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import re
import sys
import tarfile
import urllib.error
import urllib.request
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lightning_nlp.data.cache import cached_folder
from lightning_nlp.data.lines import max_unpacked
from lightning_nlp.errors import UserError

TIMEOUT_S = 30
CHUNK = 1 << 20
MAX_UNPACKED_BYTES = 4 << 30


def leipzig_archive(url: str, cache_dir: Path, *, max_unpacked_bytes: int = MAX_UNPACKED_BYTES) -> Path:
    """Download a Leipzig tar.gz and unpack its sentences, once; later calls need no network.

    An interrupted download is kept as `<cache_dir>/downloads/<name>.part` and continued by the next call. The archive
    is unpacked under a temporary name and renamed when complete, under a lock, so that processes do not collide.

    Args:
        url: The http or https address of the archive.
        cache_dir: Where downloads are kept.
        max_unpacked_bytes: The most that the archive may unpack to, against archives made to fill the disk.

    Returns:
        The folder with the `*-sentences.txt` of the archive, and nothing else.

    Raises:
        UserError: If the download fails or stops early, or if the archive is damaged, unsafe, too large or without
            sentences.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise UserError(
            f"{url!r} is not an http(s) address: correct it, or download the file and give --data.path FILE."
        )
    name = re.sub(r"[^\w.-]", "_", Path(unquote(parts.path)).name)[:100] or "archive"
    downloads = cache_dir / "downloads"
    part = downloads / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name}.part"

    def build(folder: Path) -> None:
        try:
            _download(url, part)
            _unpack(url, part, folder, max_unpacked_bytes)
        except OSError as error:
            raise UserError(
                f"Could not store {url} in {downloads} ({error.strerror or error}): free some space, or give another "
                "--data.cache_dir."
            ) from error
        part.unlink()

    return cached_folder(downloads, {"url": url}, build)


def _download(url: str, part: Path) -> None:
    """Fetch `url` into `part`, from where an earlier download stopped."""
    start = part.stat().st_size if part.exists() else 0
    # identity: a length counts the bytes of the archive itself only where nothing was compressed on the way.
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity", "User-Agent": "lightning_nlp"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            start, total = _placed(response, start)
            _copy(response, part, start, total)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # nothing behind `start`
            if error.headers.get("Content-Range", "") != f"bytes */{start}":
                part.unlink()  # longer than the file on the server: not the same file
                _download(url, part)
            return
        raise UserError(
            f"The server answered {error.code} {error.reason} for {url}: correct the address, or download the file and "
            "give --data.path FILE."
        ) from error
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else f"{type(error).__name__} {error}"
        kept = part.stat().st_size if part.exists() else 0
        raise UserError(
            f"Could not download {url} ({str(reason).strip()}): check the network and start again, which continues "
            f"after the {kept:,} bytes that are here, or download the file and give --data.path FILE."
        ) from error
    size = part.stat().st_size
    if total is not None and size != total:
        if size > total:
            part.unlink()
        raise UserError(
            f"The download of {url} stopped at {size:,} of {total:,} bytes: start again, which continues there, or "
            "download the file and give --data.path FILE."
        )


def _placed(response: http.client.HTTPResponse, start: int) -> tuple[int, int | None]:
    """Where the response's first byte belongs, and the length of the whole file, if the server says it."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if match and int(match[1]) == start:
            return start, None if match[2] == "*" else int(match[2])
        raise http.client.HTTPException(f"an answer to a range that was not asked for: {match and match[0]}")
    length = response.headers.get("Content-Length")
    return 0, None if length is None else int(length)  # the server sends all of it, whatever was asked for


def _copy(response: http.client.HTTPResponse, part: Path, start: int, total: int | None) -> None:
    from tqdm import tqdm  # type: ignore[import-untyped]

    with (
        part.open("r+b" if start else "wb") as file,
        tqdm(
            desc=f"Downloading {part.stem[13:]}",
            total=total,
            initial=start,
            unit="B",
            unit_scale=True,
            disable=not sys.stderr.isatty(),
        ) as progress,
    ):
        file.seek(start)
        while chunk := response.read1(CHUNK):
            file.write(chunk)
            progress.update(len(chunk))


def _unpack(url: str, archive: Path, folder: Path, max_unpacked_bytes: int) -> None:
    """Take the regular files `*-sentences.txt` out of a tar.gz; an archive that cannot be used is deleted."""
    try:
        most = min(max_unpacked_bytes, max_unpacked(archive))
        with gzip.open(archive) as packed:
            stream: Any = _Limited(packed, most)
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    if member.isreg() and member.name.endswith("-sentences.txt"):
                        tarfile.data_filter(member, str(folder))  # raises for a name that leads out of the folder
                        member.name = Path(member.name).name
                        tar.extract(member, folder, filter="data")
            # A tar ends before its gzip does, and only the end of that tells whether all of it is as it was sent.
            while stream.read(CHUNK):
                pass
    except _TooLarge as error:
        raise _unusable(archive, f"{url} unpacks to more than {most:,} bytes") from error
    except tarfile.FilterError as error:
        raise _unusable(archive, f"{url} holds a file that leads out of its folder ({error})") from error
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _unusable(archive, f"{url} is no whole tar.gz ({error})") from error
    if not any(folder.iterdir()):
        raise _unusable(archive, f"{url} holds no *-sentences.txt")


class _TooLarge(Exception):
    """An archive unpacks to more than it may."""


class _Limited:
    """A stream that ends in an error after so many bytes: those that a tar keeps its names in included."""

    def __init__(self, stream: Any, most: int) -> None:
        self.stream, self.left = stream, most

    def read(self, size: int) -> bytes:
        chunk = self.stream.read(size)
        self.left -= len(chunk)
        if self.left < 0:
            raise _TooLarge
        return chunk


def _unusable(archive: Path, problem: str) -> UserError:
    archive.unlink(missing_ok=True)
    return UserError(
        f"{problem}: it was deleted; correct the address, or give a file of your own with --data.path FILE."
    )
