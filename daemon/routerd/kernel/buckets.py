"""Which buckets of a resilient group carry flows: what the kernel says, and what it cannot know."""

from __future__ import annotations

import time
from array import array
from collections.abc import Collection, Container, Iterable

from routerd.kernel import lookup
from routerd.kernel.lookup import Bucket

_WRITE_TIME = 0.03
"""Seconds that the kernel and this process may disagree about when a group was made: ticks, and 1/100 s."""


class Buckets:
    """Remembers when groups were made, which buckets took over flows then, and which were handed over since."""

    def __init__(self) -> None:
        self._made: dict[int, float] = {}
        self._inherited: dict[int, Collection[int]] = {}
        self._handed: dict[int, tuple[array[float], array[float]]] = {}
        """Since when, and until when, each bucket was being handed over, in seconds; 0 if it was not."""
        self._begun: dict[int, dict[int, float]] = {}
        """When a flow was found that had begun in a bucket while it was handed over."""

    def made(self, group: int, inherited: Collection[int] = ()) -> None:
        """A group was made just now; these of its buckets carry flows of another one."""
        self._made[group] = time.monotonic()
        self._inherited[group] = inherited
        self._handed.pop(group, None)
        self._begun.pop(group, None)

    def handed(self, group: int, size: int, since: float, buckets: Iterable[int], flows: Iterable[int]) -> None:
        """These buckets of a group of this size were handed over, as idle, at some moment `since` then; in some flows
        began meanwhile."""
        now = time.monotonic()
        first, last = self._handed.setdefault(group, (array("d", bytes(8 * size)), array("d", bytes(8 * size))))
        for index in buckets:
            first[index], last[index] = since, now
        self._begun.setdefault(group, {}).update(dict.fromkeys(flows, now))

    def gone(self, group: int) -> None:
        """A group was deleted."""
        self._made.pop(group, None)
        self._inherited.pop(group, None)
        self._handed.pop(group, None)
        self._begun.pop(group, None)

    def keep(self, groups: Container[int]) -> None:
        """These groups are there, and no others."""
        for group in [group for group in self._made.keys() | self._handed.keys() if group not in groups]:
            self.gone(group)

    def took_over(self, group: int) -> bool:
        """Tell whether a group that was made like another one took over flows."""
        return bool(self._inherited.get(group))

    def flows(self, group: int, idle_timer: float) -> list[Bucket]:
        """Return the buckets that carried traffic within `idle_timer` seconds. Raises OSError as `lookup.buckets`."""
        return self.used(lookup.buckets(group), group, idle_timer)

    def used(self, found: list[Bucket], group: int, idle_timer: float) -> list[Bucket]:
        """Choose those of a group's buckets that carry flows.

        In a group that was made like another one, a bucket that was in use there carries flows that may not have sent
        anything since; and so does one in which a flow began while it was handed over. The kernel does not know.
        """
        now = time.monotonic()
        inherited = self._inherited.get(group, ()) if now - self._made.get(group, 0.0) < idle_timer else ()
        begun = {index for index, since in [*self._begun.get(group, {}).items()] if now - since < idle_timer}
        idle = self.idle(found, group, idle_timer).difference(inherited, begun)
        return [each for each in found if each[0] not in idle]

    def idle(self, found: list[Bucket], group: int, idle_timer: float) -> set[int]:
        """Return the indices of those of a group's buckets that the kernel takes for idle.

        It counts the idle time of a bucket that was never used from when it was given to its member: what has been
        idle for as long as the group is there, or since it was handed over, has not been used.
        """
        now = time.monotonic()
        age = now - self._made.get(group, -idle_timer)
        first, last = self._handed.get(group, ((), ()))
        if last and now - max(last) >= idle_timer:
            self._handed.pop(group, None)
            self._begun.pop(group, None)
        least, most = age - _WRITE_TIME, age + _WRITE_TIME
        unused = {index for index, _, idle in found if idle >= idle_timer or least <= idle <= most}
        if last:
            unused |= {
                index
                for index, _, idle in found
                if -_WRITE_TIME <= idle - (now - last[index]) <= last[index] - first[index] + _WRITE_TIME
            }
        return unused
