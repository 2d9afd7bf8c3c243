"""Memory that was freed: kept for what comes next, and given back to the system when nothing does."""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None) if hasattr(os, "fork") else None
if not hasattr(_libc, "malloc_trim"):  # Another C library keeps less.
    _libc = None

MAPPED, TRIMMED, PADDED = -3, -1, -2
"""M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD of mallopt(3)."""


def reuse_freed() -> None:
    """Keep what is freed, up to a gigabyte, for what is asked for next.

    glibc gives pieces of some megabytes back at once and asks for them again, page by page: a quarter of what a step of
    training takes, and holes in between that grow to gigabytes.
    """
    if _libc is not None:
        for option, size in ((MAPPED, 32 << 20), (TRIMMED, 1 << 30), (PADDED, 64 << 20)):
            _libc.mallopt(option, size)


def give_back() -> None:
    """Return to the system what was freed."""
    if _libc is not None:
        _libc.malloc_trim(0)
