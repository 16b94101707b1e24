"""Memory of the process: what is no longer used goes back to the kernel."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_SIZE = 128 * 1024
"""Octets: what glibc begins with (mallopt(3))."""


def give_back() -> None:
    """Hold glibc to the thresholds that it begins with.

    Else it raises both for every large block that is freed, and keeps megabytes after a large table has been loaded.
    A C library without them needs none.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _SIZE)
        mallopt(_M_MMAP_THRESHOLD, _SIZE)
