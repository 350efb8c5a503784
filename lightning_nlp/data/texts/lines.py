"""The lines of a text file, plain or packed by gzip or zstd, and how much of it may be there."""

from __future__ import annotations

import codecs
import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning_nlp.errors import UserError

# Against files made to fill memory or disk. The longest books have 10 MB, and no line is longer than one;
# gzip makes text 3 to 10 times smaller, text that repeats itself 50 times, and nothing but zeros 1000 times.
MAX_TEXT_BYTES = 64 << 20
MAX_UNPACKED_RATIO = 100
RATIO_COUNTS_FROM = 256 << 20


def read_lines(path: Path, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers from 1, line ends kept; CR ends a line where no LF is."""
    number, size = 0, 0
    try:
        most = max_unpacked(path) if path.suffix.lower() in (".gz", ".zst") else math.inf
        with _open(path) as file:
            # in UTF-16 and UTF-32 the byte of a line feed stands in other characters too
            lines: Any = io.TextIOWrapper(file, encoding, newline="\n") if _is_wide(encoding) else file
            one_byte = codecs.lookup(encoding).name.startswith(("cp125", "iso8859", "koi8", "mac"))
            while raw := lines.readline(MAX_TEXT_BYTES + 1):
                number += 1
                size += len(raw)
                if len(raw) > MAX_TEXT_BYTES or size > most:
                    what = f"{path}, line {number} is longer than {MAX_TEXT_BYTES:,} bytes"
                    if size > most:
                        what = f"{path} unpacks to more than {MAX_UNPACKED_RATIO} times its size"
                    raise UserError(f"{what}, as no corpus does: make the file anew, or give another --data.path.")
                if one_byte and not raw.isascii() and raw.decode("utf-8", "ignore").encode() == raw:
                    raise UserError(f"{path}, line {number} is UTF-8, not {encoding}: give --data.encoding utf-8.")
                # Line by line, because a text stream would report the place of a bad byte within its buffer.
                line = raw if isinstance(raw, str) else raw.decode(encoding)
                if number == 1:
                    if line[1:8:2] == "\0" * 4:  # UTF-16 of plain letters, which is UTF-8 as well
                        raise UserError(f"{path} is not {encoding.upper()}: give --data.encoding utf-16-le.")
                    line = line.removeprefix("\ufeff")
                    if "\r" in line and not line.endswith("\n"):  # the only line that a line feed could end
                        yield from enumerate(re.findall(r"[^\r]*\r|[^\r]+", line), start=1)
                        continue
                yield number, line
    except UnicodeError as error:
        raise UserError(_wrong_encoding(path, encoding, number, error)) from error
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from error


def _is_wide(encoding: str) -> bool:
    return codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))


def _wrong_encoding(path: Path, encoding: str, number: int, error: UnicodeError) -> str:
    if not isinstance(error, UnicodeDecodeError) or _is_wide(encoding):  # these decode more than a line at a time
        return f"{path} is not {encoding.upper()} (after line {number}): give the --data.encoding that it has."
    line, start = error.object, error.start
    what = f"The file is not {encoding.upper()} (byte 0x{line[start]:02x}): {path}, line {number}; "
    if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return what + "give --data.encoding utf-16."
    read = " ".join(line[max(start - 20, 0) : start + 20].decode("cp1252", "replace").split())
    return what + (
        f"give --data.encoding, such as cp1252 of Western Europe, by which the place reads {read!r} (Cyrillic has "
        "cp1251, Chinese gb18030 or big5, Japanese cp932)."
    )


def _open(path: Path) -> io.BufferedIOBase:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rb")
    if path.suffix.lower() == ".zst":
        return io.BufferedReader(open_zstd(str(path)))
    return path.open("rb")


def open_zstd(file: Any) -> Any:
    """Unpack a path or an open file; Arrow notices where it was cut, which the usual library does not."""
    import pyarrow as pa

    return pa.input_stream(file, compression="zstd")


def max_unpacked(path: Path) -> int:
    """The most bytes that a packed file may unpack to."""
    return max(RATIO_COUNTS_FROM, MAX_UNPACKED_RATIO * path.stat().st_size)


def unreadable(path: Path | str, error: Exception) -> UserError:
    """The error for a file that is damaged or may not be read."""
    reason = (isinstance(error, OSError) and error.strerror) or error
    return UserError(f"{path} cannot be read ({reason}): make the file anew, or give another --data.path.")
