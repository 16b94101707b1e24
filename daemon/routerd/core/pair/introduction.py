"""What the partner is told once the channel is there: every group, a number of them at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

TOLD = 64
"""Groups that are told of at a time."""


class Introduction:
    """Which groups the partner is to be told of before it is told that this was all; `on` until then."""

    def __init__(self) -> None:
        self.on = False
        self._untold: set[int] = set()
        self._ready = deque[int]()

    def begin(self, ids: Iterable[int], ready: Iterable[int]) -> None:
        """All of these are to be told of; those that are `ready` have been read."""
        self.on, self._untold, self._ready = True, set(ids), deque(ready)

    def end(self) -> None:
        """There is nobody to be told, or nothing left."""
        self.on, self._untold, self._ready = False, set(), deque()

    def add(self, id: int) -> None:
        """There is another group."""
        if self.on:
            self._untold.add(id)

    def done(self, id: int) -> None:
        """A group was told of, or is gone."""
        self._untold.discard(id)

    def some(self) -> list[int]:
        """Return groups that are to be told of now."""
        some = [self._ready.popleft() for _ in range(min(TOLD, len(self._ready)))]
        return [id for id in some if id in self._untold]

    @property
    def complete(self) -> bool:
        """Whether all were told of, which has yet to be said."""
        return self.on and not self._untold

    @property
    def is_due(self) -> bool:
        """Whether there is something to say."""
        return bool(self._ready) or self.complete
