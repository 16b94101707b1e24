"""Tables parted by their values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def parted(entries: Iterable[tuple[K, V]]) -> dict[V, list[K]]:
    """Return the keys of each value. Entries that follow one another mostly have one and the same object as their
    value: to hash that each time, as with fifty gateways, takes far longer."""
    found: dict[V, list[K]] = {}
    last: object = None
    keys: list[K] = []
    for key, value in entries:
        if value is not last or not keys:
            last, keys = value, found.setdefault(value, [])
        keys.append(key)
    return found
