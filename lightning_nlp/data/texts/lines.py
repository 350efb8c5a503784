"""The lines of a text file, plain or compressed by gzip or zstd, with limits on their size."""

import codecs
import contextlib
import gzip
import io
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning_nlp.errors import UserError

# Against files made to fill memory or disk. The longest books have 10 MB, and no line is longer than a book;
# gzip makes text 3 to 10 times smaller, repetitive text 50 times, and zeros 1000 times.
MAX_TEXT_BYTES = 64 << 20
MAX_UNPACKED_RATIO = 100
RATIO_COUNTS_FROM = 256 << 20

START = 1 << 16  # bytes from which the encoding is recognised
LEAST_ZEROS = 8  # among them in UTF-16, and at least one in 20: spaces and line ends alone have that many


def read_lines(path: Path, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """Lines with their numbers from 1, line ends kept; CR ends a line if there is no LF."""
    number, size = 0, 0
    try:
        most = max_unpacked(path) if path.suffix.lower() in (".gz", ".zst") else math.inf
        with _open(path) as file:
            start = file.peek(START)
            _check_encoding(path, start, encoding)
            unsure = start.isascii() and not _is_wide(encoding)
            lines = io.TextIOWrapper(file, encoding, newline="\n")
            while line := lines.readline(MAX_TEXT_BYTES + 1):
                number += 1
                size += len(line)
                if len(line) > MAX_TEXT_BYTES or size > most:
                    what = f"{path}, line {number} is longer than {MAX_TEXT_BYTES:,} characters"
                    if size > most:
                        what = f"{path} unpacks to more than {MAX_UNPACKED_RATIO} times its size"
                    raise UserError(f"{what}, unlike any real text: create it again, or give another --data.path.")
                if unsure and not line.isascii():
                    _check_encoding(f"{path}, line {number}", line.encode(encoding), encoding)
                    unsure = False
                if number == 1:
                    line = line.removeprefix("\ufeff")
                    if "\r" in line and not line.endswith("\n"):
                        yield from enumerate(re.findall(r"[^\r]*\r|[^\r]+", line), start=1)
                        continue
                yield number, line
    except UnicodeError as error:
        raise UserError(_wrong_encoding(path, encoding, number, error)) from error
    except (OSError, EOFError, zlib.error) as error:
        raise unreadable(path, error) from error


def _is_wide(encoding: str) -> bool:
    return codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))


def _check_encoding(place: Path | str, start: bytes, encoding: str) -> None:
    """Raise a UserError if bytes are certainly in another encoding, even if `encoding` can decode them."""
    given, fitting = codecs.lookup(encoding).name, _utf_16_or_32(start)
    telling = not start.isascii() or (_is_wide(encoding) and start and 0 not in start)
    if not fitting and telling and not given.startswith("utf-8"):
        with contextlib.suppress(UnicodeDecodeError):
            codecs.getincrementaldecoder("utf-8")().decode(start)  # it may end within a character
            fitting = ("utf-8",)  # text in another encoding is hardly ever valid UTF-8
    if fitting and given not in fitting:
        raise UserError(f"{place} is {fitting[0].upper()}, not {encoding}: give --data.encoding {fitting[0]}.")


def _utf_16_or_32(start: bytes) -> tuple[str, ...]:
    """The names that fit a byte order mark, or UTF-16 without one; none for other encodings."""
    for name in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):  # UTF-32's mark begins with UTF-16's
        if start.startswith("\ufeff".encode(name)):
            return name[:6], name
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) < max(LEAST_ZEROS, len(start) / 20, 10 * min(even, odd)):
        return ()
    return ("utf-16-le" if odd > even else "utf-16-be",)


def _wrong_encoding(path: Path, encoding: str, number: int, error: UnicodeError) -> str:
    if not isinstance(error, UnicodeDecodeError) or _is_wide(encoding):
        return f"{path} is not {encoding.upper()} (after line {number}): give its --data.encoding."
    block, start = error.object, error.start  # a block begins within the line after `number`
    line = number + 1 + block.count(b"\n", 0, start)
    _check_encoding(f"{path}, line {line}", block[block.rfind(b"\n", 0, start) + 1 :], encoding)
    read = " ".join(block[max(start - 20, 0) : start + 20].decode("cp1252", "replace").split())
    return (
        f"The file is not {encoding.upper()} (byte 0x{block[start]:02x}): {path}, line {line}; give --data.encoding, "
        f"e.g. cp1252 (Western Europe: it reads {read!r}), cp1251 (Cyrillic), gb18030, big5 (Chinese) or cp932 "
        "(Japanese)."
    )


def _open(path: Path) -> Any:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rb")
    if path.suffix.lower() == ".zst":
        return io.BufferedReader(open_zstd(str(path)), START)
    return path.open("rb", START)


def open_zstd(file: Any) -> Any:
    """Unpack a path or an open file; Arrow notices a truncated one, which the zstandard library does not."""
    import pyarrow as pa

    return pa.input_stream(file, compression="zstd")


def max_unpacked(path: Path) -> int:
    """The number of bytes that a compressed file may unpack to."""
    return max(RATIO_COUNTS_FROM, MAX_UNPACKED_RATIO * path.stat().st_size)


def unreadable(path: Path | str, error: Exception) -> UserError:
    """The error for a file that is damaged or may not be read."""
    reason = (isinstance(error, OSError) and error.strerror) or error
    return UserError(f"{path} cannot be read ({reason}): create it again, or give another --data.path.")
