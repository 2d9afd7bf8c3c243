"""Memory that nothing uses goes back to the system."""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None) if hasattr(os, "fork") else None
if not hasattr(_libc, "malloc_trim"):  # Another C library keeps less.
    _libc = None


def give_back() -> None:
    """Of what was freed: pieces of changing sizes leave holes, in which glibc keeps a gigabyte and more."""
    if _libc is not None:
        _libc.malloc_trim(0)
