"""Which buckets of a resilient group carry flows: what the kernel says, and what it cannot know."""

from __future__ import annotations

import time
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from routerd.core.message import Gateway
from routerd.kernel import lookup
from routerd.kernel.lookup import Bucket

_WRITE_TIME = 0.03
"""Seconds that the kernel and this process may disagree about when a group was written: ticks, and 1/100 s."""
_MOST_LOST = 1024
"""Gateways that were lost of which is remembered when."""
_READ = 30.0
"""Seconds after which groups that have lost a gateway have been read, for certain."""
_MOST = 64
"""Times at which buckets of a group were handed over, or it was written, remembered, some 300 octets each."""


class _Handed(NamedTuple):
    """Buckets (a mask) that were handed over, as idle, at some moment `since` then and `until` then, perhaps all of
    them `at_once`."""

    since: float
    until: float
    buckets: int
    at_once: bool = False


class Buckets:
    """Remembers when groups were made, which buckets took over flows then, and which were handed over since."""

    def __init__(self) -> None:
        self._made: dict[int, float] = {}
        self._inherited: dict[int, Collection[int]] = {}
        self._written: dict[int, tuple[float, float]] = {}
        """Since when, and until when, groups were being written that are held."""
        self._lost: dict[Gateway, tuple[float, float]] = {}
        """Since when, and until when, nexthop objects that were lost were being deleted, the latest last."""
        self._handed: dict[int, list[_Handed]] = {}
        self._begun: dict[int, dict[int, float]] = {}
        """When a flow was found that had begun in a bucket while it was handed over."""

    def made(self, group: int, inherited: Collection[int] = ()) -> None:
        """A group was made just now; these of its buckets carry flows of another one."""
        self.gone(group)
        self._made[group] = time.monotonic()
        self._inherited[group] = inherited

    def handed(self, group: int, since: float, buckets: Iterable[int], flows: Iterable[int] = ()) -> None:
        """These buckets of a group were handed over, as idle, at some moment `since` then; in some flows began
        meanwhile."""
        now = time.monotonic()
        self._hand(group, _Handed(since, now, mask(buckets)))
        self._begun.setdefault(group, {}).update(dict.fromkeys(flows, now))

    def written(self, group: int, since: float) -> None:
        """A group was written at some moment `since` then: the buckets of a member that it has no more go to others
        at once."""
        self._written[group] = (since, time.monotonic())

    def lost(self, gateway: Gateway, since: float) -> None:
        """The nexthop object of a gateway was deleted at some moment `since` then, whose buckets go to others at
        once."""
        self._lost.pop(gateway, None)
        self._lost[gateway] = (since, time.monotonic())
        if len(self._lost) > _MOST_LOST:
            del self._lost[next(iter(self._lost))]

    def moved(self, group: int, buckets: Mapping[Gateway, Collection[int]]) -> None:
        """These buckets of a group do not lead to these gateways any more: no flow has used those since that have
        been idle since it was written, or since the gateway was lost."""
        while self._lost and time.monotonic() - next(iter(self._lost.values()))[1] > _READ:
            del self._lost[next(iter(self._lost))]
        for gateway in buckets.keys() & self._lost.keys():
            self._hand(group, _Handed(*self._lost[gateway], mask(buckets[gateway]), at_once=True))
        if buckets and (written := self._written.get(group)) is not None:
            self._hand(group, _Handed(*written, mask(chain.from_iterable(buckets.values()))))

    def _hand(self, group: int, handed: _Handed) -> None:
        times = self._handed.setdefault(group, [])
        times.append(handed)
        del times[:-_MOST]

    def gone(self, group: int) -> None:
        """A group was deleted."""
        for known in (self._made, self._inherited, self._written, self._handed, self._begun):
            known.pop(group, None)

    def keep(self, groups: Container[int]) -> None:
        """These groups are there, and no others."""
        known = self._made.keys() | self._written.keys() | self._handed.keys()
        for group in [group for group in known if group not in groups]:
            self.gone(group)

    def took_over(self, group: int) -> bool:
        """Tell whether a group that was made like another one took over flows."""
        return bool(self._inherited.get(group))

    def flows(self, group: int, idle_timer: float) -> list[Bucket]:
        """Return the buckets that carried traffic within `idle_timer` seconds. Raises OSError as `lookup.buckets`."""
        owners, idle = lookup.reading(group)
        return [(index, owners[index], idle[index]) for index in sorted(self.used(idle, group, idle_timer))]

    def used(self, idle: Sequence[float], group: int, idle_timer: float) -> set[int]:
        """Choose those of a group's buckets that carry flows, by index; `idle` is for how many seconds each is idle.

        In a group that was made like another one, a bucket that was in use there carries flows that may not have sent
        anything since; and so does one in which a flow began while it was handed over. The kernel does not know.
        """
        now = time.monotonic()
        inherited = self._inherited.get(group, ()) if now - self._made.get(group, 0.0) < idle_timer else ()
        begun = [index for index, since in [*self._begun.get(group, {}).items()] if now - since < idle_timer]
        return self.recent(idle, group, idle_timer).union(inherited, begun)

    def recent(self, idle: Sequence[float], group: int, idle_timer: float) -> set[int]:
        """Choose those of a group's buckets that the kernel takes for used, by index.

        It counts the idle time of a bucket that was never used from when it was given to its member: what has been
        idle for as long as the group is there, or since it was handed over, has not been used.
        """
        now = time.monotonic()
        age = now - self._made.get(group, -idle_timer)
        least, most = age - _WRITE_TIME, age + _WRITE_TIME
        # The kernel counts in ticks, and most of a thousand buckets are idle for as long as their neighbours.
        times = {time for time in set(idle) if time < idle_timer and not least <= time <= most}
        recent = [index for index, time in enumerate(idle) if time in times] if times else []
        for handed in self._lately(group, now - idle_timer):
            least, most = now - handed.until - _WRITE_TIME, now - handed.since + _WRITE_TIME
            if handed.at_once:  # perhaps long before it was heard of: those that no flow has used are idle longest
                ours = (time for index, time in enumerate(idle) if handed.buckets >> index & 1 and time <= most)
                least = max(least, max(ours, default=0.0) - _WRITE_TIME)
            since = {time for time in times if least <= time <= most}
            if since:
                recent = [index for index in recent if not (idle[index] in since and handed.buckets >> index & 1)]
        return set(recent)

    def _lately(self, group: int, since: float) -> list[_Handed]:
        """Return the buckets that were handed over `since` then, and forget the others."""
        times = [handed for handed in self._handed.get(group, ()) if handed.until > since]
        if not times:
            self._handed.pop(group, None)
            self._begun.pop(group, None)
        return times


def mask(buckets: Iterable[int]) -> int:
    """Return a number with the bits of these indices."""
    digits = bytearray()
    for index in buckets:
        if index >> 3 >= len(digits):
            digits.extend(bytes((index >> 3) + 1 - len(digits)))
        digits[index >> 3] |= 1 << (index & 7)
    return int.from_bytes(digits, "little")
