"""What the core asks of groups, once they are as it wants them: which nexthops carry flows, and which groups none."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator

from routerd.core.message import FindUnused, GroupActivity, GroupsUnused, Input, InspectGroups
from routerd.kernel import lookup
from routerd.kernel.buckets import Buckets

INSPECTED_AT_ONCE = 16
"""Groups whose buckets are read when the core asks about more: each takes the kernel two milliseconds."""
DOUBTED_AT_ONCE = 256
"""Groups of which the kernel is asked whether they have carried a packet: each takes 10 us."""


class Enquiries:
    """True while there is something to ask. A bucket is busy whose last packet is younger than `idle_timer`."""

    def __init__(self, buckets: Buckets, idle_timer: float) -> None:
        self.idle_timer = idle_timer
        self.inspected: tuple[int, ...] = ()
        """The groups whose buckets are to be read."""
        self._doubted: tuple[int, ...] = ()
        self._buckets = buckets

    def __bool__(self) -> bool:
        return bool(self.inspected or self._doubted)

    def ask(self, effect: InspectGroups | FindUnused) -> None:
        """Take note of what the core asks."""
        if isinstance(effect, InspectGroups):
            self.inspected += effect.ids[:INSPECTED_AT_ONCE]
        else:
            self._doubted += effect.ids

    def answers(self) -> Iterator[Input]:
        """Ask the kernel some of it, and return what it says."""
        if self.inspected:
            yield GroupActivity(self._activity(self.inspected))
            self.inspected = ()
        if self._doubted:
            some, self._doubted = self._doubted[:DOUBTED_AT_ONCE], self._doubted[DOUBTED_AT_ONCE:]
            with contextlib.suppress(OSError):  # they are settled by the clock
                yield GroupsUnused(lookup.unused(some))

    def _activity(self, ids: Iterable[int]) -> dict[int, dict[int, int]]:
        busy: dict[int, dict[int, int]] = {}
        for id in ids:
            with contextlib.suppress(OSError):  # it has gone meanwhile, and says so by its absence
                busy[id] = Counter(owner for _, owner, _ in self._buckets.flows(id, self.idle_timer))
        return busy
