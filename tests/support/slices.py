"""Views that come in slices, for tests that want them at once."""

from __future__ import annotations

from typing import TypeVar

from routerd.api.slices import Slices

T = TypeVar("T")


def whole(slices: Slices[T]) -> T:
    """Return the view, made at a stretch."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            made: T = end.value
            return made
