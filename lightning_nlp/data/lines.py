"""The lines of a text file, plain or packed by gzip or zstd, and how much of it may be there."""

from __future__ import annotations

import codecs
import gzip
import io
import math
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from lightning_nlp.errors import UserError

# Files made to fill memory or disk when they are read. The longest books have 10 MB, and no line is longer than one;
# gzip makes text 3 to 10 times smaller, text that repeats itself 50 times, and nothing but zeros 1000 times.
MAX_TEXT_BYTES = 64 << 20
MAX_UNPACKED_RATIO = 100
RATIO_COUNTS_FROM = 256 << 20


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers from 1, line ends kept."""
    number, size = 0, 0
    try:
        most = max_unpacked(path) if path.suffix.lower() in (".gz", ".zst") else math.inf
        with _open(path) as file:
            for number, raw in enumerate(iter(partial(file.readline, MAX_TEXT_BYTES + 1), b""), start=1):
                size += len(raw)
                if len(raw) > MAX_TEXT_BYTES or size > most:
                    what = f"{path}, line {number} is longer than {MAX_TEXT_BYTES:,} bytes"
                    if size > most:
                        what = f"{path} unpacks to more than {MAX_UNPACKED_RATIO} times its size"
                    raise UserError(f"{what}, as no corpus does: make the file anew, or give another --data.path.")
                # Line by line, because a text stream would report the place of a bad byte within its buffer.
                yield number, raw.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"The file is not UTF-8 (byte 0x{error.object[error.start]:02x}): {path}, line {number}; "
            "convert it, for example with `iconv -f latin1 -t utf-8`, and give the result as --data.path."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from error


def _open(path: Path) -> io.BufferedIOBase:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rb")
    if path.suffix.lower() == ".zst":
        return io.BufferedReader(open_zstd(str(path)))
    return path.open("rb")


def open_zstd(file: Any) -> Any:
    """Read what zstd has packed; Arrow notices where such a file was cut, which the usual Python library does not.

    Args:
        file: A path, or an open file.
    """
    import pyarrow as pa

    return pa.input_stream(file, compression="zstd")


def max_unpacked(path: Path) -> int:
    """The most bytes that a packed file may unpack to."""
    return max(RATIO_COUNTS_FROM, MAX_UNPACKED_RATIO * path.stat().st_size)


def unreadable(path: Path | str, error: Exception) -> UserError:
    """The error for a file that is damaged or may not be read."""
    reason = (isinstance(error, OSError) and error.strerror) or error
    return UserError(f"{path} cannot be read ({reason}): make the file anew, or give another --data.path.")
