"""A limit on what repeats: so many of a kind in an interval pass, and the rest are counted. Pure.

What is remembered is bounded: kinds that are too many to be told apart share one limit.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Kind = TypeVar("Kind", bound=Hashable)


@dataclass(slots=True)
class _Interval:
    ends: float
    passed: int = 0
    held: int = 0


class RateLimiter(Generic[Kind]):
    """Lets `burst` of a kind pass in `interval` seconds; at most `kinds` are told apart. Times are monotonic."""

    def __init__(self, burst: int, interval: float, kinds: int) -> None:
        self._burst = burst
        self._interval = interval
        self._kinds = kinds
        self._open: dict[Kind | None, _Interval] = {}  # in the order of their ends; None: what is not told apart

    def passes(self, kind: Kind, now: float) -> bool:
        """Tell whether one more of a kind may pass. Call `over` first: an interval ends there alone."""
        known: Kind | None = kind if kind in self._open or len(self._open) < self._kinds else None
        found = self._open.setdefault(known, _Interval(now + self._interval))
        if found.passed < self._burst:
            found.passed += 1
            return True
        found.held += 1
        return False

    def over(self, now: float) -> Iterator[tuple[Kind | None, int]]:
        """Forget the intervals that are over; yield each kind of which any were held, and how many; None is the kind
        of those that were not told apart."""
        while self._open:
            kind, first = next(iter(self._open.items()))
            if first.ends > now:
                return
            del self._open[kind]
            if first.held:
                yield kind, first.held
