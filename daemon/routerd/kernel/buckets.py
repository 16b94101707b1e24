"""Which buckets of a resilient group carry flows: what the kernel says, and what it cannot know."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Container, Iterable
from typing import NamedTuple

from routerd.kernel import lookup
from routerd.kernel.lookup import Bucket

_WRITE_TIME = 0.03
"""Seconds that the kernel and this process may disagree about when a group was made: ticks, and 1/100 s."""
_HAND_OVERS = 8
"""Hand-overs that are remembered of a group: with those before, what was never used counts as used for a while."""
_DIGITS = bytes([ord("0"), ord("1")]) + bytes(254)


class _HandOver(NamedTuple):
    """When buckets were handed over, in seconds, from the first to the last; which (bit n for bucket n), and in which
    of them flows began meanwhile."""

    first: float
    last: float
    buckets: int
    flows: int


class Buckets:
    """Remembers when groups were made, which buckets took over flows then, and which were handed over since."""

    def __init__(self) -> None:
        self._made: dict[int, float] = {}
        self._inherited: dict[int, Collection[int]] = {}
        self._handed: dict[int, deque[_HandOver]] = {}

    def made(self, group: int, inherited: Collection[int] = ()) -> None:
        """A group was made just now; these of its buckets carry flows of another one."""
        self._made[group] = time.monotonic()
        self._inherited[group] = inherited
        self._handed.pop(group, None)

    def handed(self, group: int, first: float, buckets: Iterable[int], flows: Iterable[int]) -> None:
        """Since `first` these buckets were handed over, as idle; in some of them flows began meanwhile."""
        known = self._handed.setdefault(group, deque())
        if len(known) == _HAND_OVERS:
            lost = known.popleft()
            known[0] = known[0]._replace(flows=known[0].flows | lost.flows)
        known.append(_HandOver(first, time.monotonic(), mask(buckets), mask(flows)))

    def gone(self, group: int) -> None:
        """A group was deleted."""
        self._made.pop(group, None)
        self._inherited.pop(group, None)
        self._handed.pop(group, None)

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

        The kernel counts the idle time of a bucket that was never used from when it was given to its member: what
        has been idle for as long as the group is there, or since it was handed over, has not been used. But in a
        group that was made like another one, a bucket that was in use there carries flows that may not have sent
        anything since; and so does one in which a flow began while it was handed over.
        """
        now = time.monotonic()
        made = self._made.get(group)
        inherited = self._inherited.get(group, ()) if made is not None and now - made < idle_timer else ()
        unused = [] if made is None else [(now - made, now - made, -1)]
        flows = 0
        for each in self._handed.get(group, ()):
            unused.append((now - each.last, now - each.first, each.buckets & ~each.flows))
            flows |= each.flows if now - each.last < idle_timer else 0
        return [
            bucket
            for bucket in found
            if bucket[0] in inherited
            or flows >> bucket[0] & 1
            or (bucket[2] < idle_timer and not _since(bucket, unused))
        ]


def mask(indices: Iterable[int]) -> int:
    """Return a number that has bit n for each n of `indices`."""
    digits = bytearray()
    for index in indices:
        if index >= len(digits):
            digits.extend(bytes(index + 1 - len(digits)))
        digits[index] = 1
    return int(digits[::-1].translate(_DIGITS) or b"0", 2)


def _since(bucket: Bucket, times: Iterable[tuple[float, float, int]]) -> bool:
    """Tell whether a bucket has been idle since one of these times, if it is among the buckets of that."""
    index, _, idle = bucket
    return any(
        least - _WRITE_TIME <= idle <= most + _WRITE_TIME and buckets >> index & 1 for least, most, buckets in times
    )
