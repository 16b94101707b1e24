"""What the core asks of groups, once they are as it wants them: which nexthops carry flows, which groups carry none,
and where each bucket leads."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

from routerd.core.message import (
    BucketsRead,
    FindUnused,
    GroupActivity,
    GroupsUnused,
    Input,
    InspectGroups,
    KernelGroup,
    ReadBuckets,
)
from routerd.kernel import lookup
from routerd.kernel.buckets import Buckets, mask
from routerd.kernel.memory import Memory

INSPECTED_AT_ONCE = 16
"""Groups whose buckets are read when the core asks about more: each takes the kernel two milliseconds."""
READ_AT_ONCE = 4
"""Groups whose buckets are read for the core one by one; the others wait for their turn."""
DOUBTED_AT_ONCE = 256
"""Groups of which the kernel is asked whether they have carried a packet: each takes 10 us."""


class Enquiries:
    """`waiting` tells whether there is something to ask. A bucket is busy whose last packet is younger than
    `idle_timer`."""

    def __init__(self, buckets: Buckets, memory: Memory, idle_timer: float) -> None:
        self.idle_timer = idle_timer
        self.waiting = False
        self.inspected: tuple[int, ...] = ()
        """The groups whose buckets are to be read."""
        self._doubted: tuple[int, ...] = ()
        self._wanted: dict[int, None] = {}
        """The groups of which the core wants to know every bucket."""
        self._buckets = buckets
        self._memory = memory

    def ask(self, effect: InspectGroups | FindUnused | ReadBuckets) -> None:
        """Take note of what the core asks."""
        self.waiting = True
        match effect:
            case InspectGroups(ids=ids):
                self.inspected += ids[:INSPECTED_AT_ONCE]
            case FindUnused(ids=ids):
                self._doubted += ids
            case ReadBuckets(ids=ids):
                self._wanted.update(dict.fromkeys(ids))

    def answers(self) -> Iterator[Input]:
        """Ask the kernel some of it, and return what it says."""
        if self.inspected:
            yield GroupActivity(self._activity(self.inspected))
            self.inspected = ()
        if self._doubted:
            some, self._doubted = self._doubted[:DOUBTED_AT_ONCE], self._doubted[DOUBTED_AT_ONCE:]
            with contextlib.suppress(OSError):  # they are settled by the clock
                yield GroupsUnused(lookup.unused(some))

        for id in list(islice(self._wanted, READ_AT_ONCE)):
            del self._wanted[id]
            yield self._buckets_of(id)
        self.waiting = bool(self._doubted or self._wanted)

    def _buckets_of(self, id: int) -> BucketsRead:
        try:
            owners, idle = lookup.reading(id)
            group = lookup.nexthop(id)  # after that: a member that is lost is missed
        except OSError:
            return BucketsRead(id)
        self._memory.seen(id, owners)
        busy = mask(self._buckets.used(idle, id, self.idle_timer))
        members = tuple(member.id for member in group.members) if isinstance(group, KernelGroup) else ()
        return BucketsRead(id, tuple(owners), busy, members)

    def _activity(self, ids: Iterable[int]) -> dict[int, dict[int, int]]:
        busy: dict[int, dict[int, int]] = {}
        for id in ids:
            with contextlib.suppress(OSError):  # it has gone meanwhile, and says so by its absence
                busy[id] = Counter(owner for _, owner, _ in self._buckets.flows(id, self.idle_timer))
        return busy
