"""How this process gets its memory."""

from __future__ import annotations

import ctypes
import sys

# mallopt(3) of glibc
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def keep_freed_memory() -> bool:
    """Let the C library keep what is freed, for a training on the CPU.

    By default glibc gives each large block back to the system when it is freed and asks for a new one, whose pages the
    kernel fills with zeros, one fault a page. A training step allocates and frees the same gigabytes again and again,
    and pays for that with an eighth to a third of its time (benchmarks/README.md). Kept blocks are used again as they
    are; the process grows to its largest step, as it would have anyway, and stays there.

    Returns:
        Whether the C library took the settings: glibc does, others have nothing of the kind.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))
