"""How this process gets its memory: the settings of glibc's malloc that matter to a training on the CPU."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

# mallopt(3) of glibc
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed, for a training on the CPU.

    By default glibc gives each large block back to the system when it is freed and asks for a new one, whose pages the
    kernel fills with zeros, one fault a page. A training step allocates and frees the same gigabytes again and again,
    and pays for that with an eighth to a third of its time (benchmarks/README.md). Kept blocks are used again as they
    are; `return_freed_memory` gives back what has gathered.

    Returns:
        Whether the C library took the settings: glibc does, others have nothing of the kind.
    """
    mallopt = _function("mallopt")
    return mallopt is not None and bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))


def return_freed_memory() -> None:
    """Give all that is freed back to the system; what is in use stays."""
    malloc_trim = _function("malloc_trim")
    if malloc_trim is not None:
        malloc_trim(0)


def resident_bytes() -> int:
    """The memory of this process that is in RAM, on Linux; what is freed and kept counts."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _function(name: str) -> Any:
    """A function of the C library, or None where it has none of that name."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
