"""Which buckets of a resilient group carry flows: what the kernel says, and what it cannot know."""

from __future__ import annotations

import time
from collections.abc import Collection, Container

from routerd.kernel import lookup
from routerd.kernel.lookup import Bucket

_WRITE_TIME = 0.03
"""Seconds that the kernel and this process may disagree about when a group was made: ticks, and 1/100 s."""


class Buckets:
    """Remembers when groups were made, and which buckets took over flows then."""

    def __init__(self) -> None:
        self._made: dict[int, float] = {}
        self._inherited: dict[int, Collection[int]] = {}

    def made(self, group: int, inherited: Collection[int] = ()) -> None:
        """A group was made just now; these of its buckets carry flows of another one."""
        self._made[group] = time.monotonic()
        self._inherited[group] = inherited

    def gone(self, group: int) -> None:
        """A group was deleted."""
        self._made.pop(group, None)
        self._inherited.pop(group, None)

    def keep(self, groups: Container[int]) -> None:
        """These groups are there, and no others."""
        for group in [group for group in self._made if group not in groups]:
            self.gone(group)

    def took_over(self, group: int) -> bool:
        """Tell whether a group that was made like another one took over flows."""
        return bool(self._inherited.get(group))

    def flows(self, group: int, idle_timer: float) -> list[Bucket]:
        """Return the buckets that carried traffic within `idle_timer` seconds. Raises OSError as `lookup.buckets`."""
        return self.used(lookup.buckets(group), group, idle_timer)

    def used(self, found: list[Bucket], group: int, idle_timer: float) -> list[Bucket]:
        """Choose those of a group's buckets that carry flows.

        The kernel counts the idle time of a bucket that was never used from when it was given to its member: what
        has been idle for as long as the group is there has not been used. But in a group that was made like another
        one, a bucket that was in use there carries flows that may not have sent anything since.
        """
        age = time.monotonic() - self._made.get(group, -idle_timer)
        inherited = self._inherited.get(group, ()) if age < idle_timer else ()
        return [
            bucket
            for bucket in found
            if bucket[0] in inherited or (bucket[2] < idle_timer and abs(bucket[2] - age) > _WRITE_TIME)
        ]
