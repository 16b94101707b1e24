"""Problems of one kind, which may be as many as there are routes: the first ones, and how many more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import islice
from typing import TypeVar

from routerd.api.models import ProblemView

T = TypeVar("T")

SHOWN = 5


def first(
    found: Collection[T], tell: Callable[[T], ProblemView], *, where: str, more: str, remedy: str
) -> Iterator[ProblemView]:
    """Tell of the first of what was found, and in one problem `where` of how many `more` of it there are."""
    yield from map(tell, islice(found, SHOWN))
    if len(found) > SHOWN:
        yield ProblemView(where=where, what=f"{len(found) - SHOWN} more {more}", remedy=remedy)
