"""Memos: what was worked out once is looked up from then on, within a bound of octets."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

ENTRY = 200
"""Octets that an entry costs besides what its key and value weigh: slots of the table, tuples, headers of objects."""


class Memo(dict[K, V]):
    """A dict that is emptied when what it holds would weigh more than `limit` octets.

    Looking up is a dict's own `get`. A peer that never repeats itself thus costs time, and not memory.
    """

    __slots__ = ("limit", "octets")

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        self.octets = 0

    def remember(self, key: K, value: V, weight: int = 0) -> V:
        """Keep a value under a new key, both of `weight` octets together besides the entry; return the value."""
        self.octets += weight + ENTRY
        if self.octets > self.limit:
            self.clear()
            self.octets = weight + ENTRY
        self[key] = value
        return value

    def clear(self) -> None:
        """Forget all."""
        super().clear()
        self.octets = 0
