"""What the writer may replace and delete: prefixes and ids that are known to be routerd's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Owned(Generic[T]):
    """What is known to be ours. What was made since the last dump stays so: the new dump may be older than it.

    What others then take away and make theirs is therefore mistaken for ours for up to two dumps.
    """

    def __init__(self) -> None:
        self._found: set[T] = set()
        self._recent: set[T] = set()

    def __contains__(self, each: object) -> bool:
        return each in self._recent or each in self._found

    def among(self, candidates: Iterable[T]) -> set[T]:
        """Return those that are ours."""
        found = self._recent.intersection(candidates)
        return found | self._found.intersection(candidates) if self._found else found

    def adopt(self, found: Iterable[T]) -> None:
        self._found = self._recent.union(found)
        self._recent = set()

    def add(self, made: Iterable[T]) -> None:
        self._recent.update(made)

    def remove(self, gone: Iterable[T]) -> None:
        self._found.difference_update(gone)
        self._recent.difference_update(gone)
