"""What the kernel refused, and when it is tried again: one table and one clock for all that is written."""

from __future__ import annotations

from routerd.core.message import Gateway, WriteFailed
from routerd.core.route import Prefix

FIRST, LAST = 1.0, 60.0
"""Seconds until refused writes are tried again; doubled each time that something is refused anew."""


class Refusals:
    """Refused nexthops by gateway, groups by id, and `routes` by prefix as (errno, text), which the FIB keeps.

    `deletions` are those of routes, by prefix, and of nexthops and groups, by id.
    """

    def __init__(self, routes: dict[Prefix, tuple[int, str]]) -> None:
        self.nexthops: dict[Gateway, WriteFailed] = {}
        self.groups: dict[int, WriteFailed] = {}
        self.deletions: dict[Prefix | int, WriteFailed] = {}
        self.routes = routes
        self.again_at: float | None = None
        """The monotonic time of the next try, None if none is due."""
        self.told = False
        """Whether an event has told of a refusal since the last one that there is none any more."""
        self._delay = FIRST

    def __len__(self) -> int:
        return len(self.nexthops) + len(self.groups) + len(self.deletions) + len(self.routes)

    def schedule(self, now: float) -> None:
        """Something was refused: try again, later each time."""
        if self.again_at is None:
            self.again_at = now + self._delay
            self._delay = min(self._delay * 2, LAST)

    def due(self, now: float) -> bool:
        """Tell, once, that it is time to try again. If nothing is refused any more, the next refusal is a first."""
        if self.again_at is None or now < self.again_at:
            return False
        self.again_at = None
        if not self:
            self._delay = FIRST
        return bool(self)

    def is_over(self) -> bool:
        """Tell, once, that nothing is refused any more of what an event has told of, as of the last try."""
        if self or not self.told or self.again_at is not None:
            return False
        self.told = False
        return True
