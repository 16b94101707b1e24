"""Memory of the process: what is no longer used goes back to the kernel; and how often the collector looks."""

from __future__ import annotations

import ctypes
import gc

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_SIZE = 128 * 1024
"""Octets: what glibc begins with (mallopt(3))."""
_YOUNG = 20_000
"""New objects that the collector looks at in one go, for some 3 ms: nothing else runs meanwhile."""


def collect_seldom() -> None:
    """Have the collector look at old objects seldom: tables have few that could be garbage, but many to look at. A
    full collection takes 0.1 s at 500,000 prefixes, and the default looks often."""
    gc.set_threshold(_YOUNG, 250, 1000)


def give_back() -> None:
    """Give back what loading has left, and hold glibc to the thresholds that it begins with, and to one arena.

    Else it raises both for every large block that is freed, and keeps megabytes after a large table has been loaded;
    and threads that meet in malloc get arenas of their own, though Python has one allocate at a time. A C library
    without them needs none.
    """
    gc.collect()
    library = ctypes.CDLL(None)
    trim, mallopt = (getattr(library, name, None) for name in ("malloc_trim", "mallopt"))
    if trim is not None:
        trim(0)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _SIZE)
        mallopt(_M_MMAP_THRESHOLD, _SIZE)
        mallopt(_M_ARENA_MAX, 1)
