"""Deadlines of many: which comes next is known without a look at all of them."""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Deadlines(Generic[K]):
    """A deadline for each key, in monotonic seconds.

    A heap, in which a deadline that was changed leaves its old entry behind; those are dropped as they come up, and
    all together once they are the larger part.
    """

    def __init__(self) -> None:
        self._of: dict[K, float] = {}
        self._heap: list[tuple[float, K]] = []

    def set(self, key: K, deadline: float | None) -> None:
        """Give a key this deadline; None or infinity: it has none."""
        if deadline is None or deadline == math.inf:
            self._of.pop(key, None)
        elif self._of.get(key) != deadline:
            self._of[key] = deadline
            heapq.heappush(self._heap, (deadline, key))
        if len(self._heap) > 2 * len(self._of) + 16:
            self._heap = [(time, key) for key, time in self._of.items()]
            heapq.heapify(self._heap)

    def __contains__(self, key: object) -> bool:
        return key in self._of

    @property
    def next(self) -> float | None:
        """The earliest deadline, None without any."""
        while self._heap and self._of.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> list[K]:
        """Return the keys whose deadline has come, the earliest first. They have none from then on."""
        found: list[K] = []
        while (earliest := self.next) is not None and earliest <= now:
            _, key = heapq.heappop(self._heap)
            del self._of[key]
            found.append(key)
        return found
