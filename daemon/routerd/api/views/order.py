"""Prefixes in the order of their addresses, as FRR and BIRD list them; no whole table is sorted at a stretch."""

from __future__ import annotations

import heapq
from collections.abc import Generator, Iterable
from itertools import islice

from routerd.core.route import IPV4_PREFIX_SIZE, Prefix

_RUN = 4096
"""Prefixes that are sorted at a stretch, which takes a millisecond, or merged."""


def in_order(prefixes: Iterable[Prefix], offset: int, limit: int) -> Generator[None, None, list[Prefix]]:
    """Return a page of prefixes: IPv4 first, then by address, then by length. Yields wherever it may be interrupted;
    the prefixes are those of the beginning."""
    found = list(prefixes)
    runs: list[list[bytes]] = []
    for start in range(0, len(found), _RUN):
        runs.append(sorted(map(_key, found[start : start + _RUN])))
        yield
    merged, left = heapq.merge(*runs), offset
    while left > 0 and any(islice(merged, min(left, _RUN) - 1, min(left, _RUN))):
        left -= _RUN
        yield
    page: list[Prefix] = []
    while some := [_prefix(key) for key in islice(merged, min(limit - len(page), _RUN))]:
        page += some
        yield
    return page


def _key(prefix: Prefix) -> bytes:
    """Return what sorts as prefixes do; compared in C, unlike a tuple."""
    return (b"\4" if len(prefix) == IPV4_PREFIX_SIZE else b"\6") + prefix[1:] + prefix[:1]


def _prefix(key: bytes) -> Prefix:
    return Prefix(key[-1:] + key[1:-1])
