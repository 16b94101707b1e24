"""Groups in which flows are that have not shown themselves in the buckets: no bucket may change hands meanwhile.

The kernel moves a bucket that was not used since it was given to its member, whatever flows lie in it. So whoever
joins such a group gets no bucket, until an idle timer has passed. Then the kernel knows which buckets are in use.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from routerd.core.deadlines import Deadlines
from routerd.core.fib.model import Group
from routerd.core.message import Gateway

YOUTH = 30.0
"""Seconds after its birth in which a group is looked into when a second node joins: nodes introduce themselves."""
LOOK = 1.0
"""Seconds, at least, from when a second node joins a young group until one looks whether it has carried a packet;
else as many as the group is old, as its flows are no older than it is."""


class Why(Enum):
    """Why flows have not shown themselves; the value is a line for people."""

    ALONE = "its flows went to one node alone, and leave a trace in the buckets only since others joined"
    TAKEN_OVER = "its buckets were laid out as those that its flows used before"


class Settling(NamedTuple):
    """`holders` are the gateways whose flows have to show themselves until the time `until`."""

    until: float
    why: Why
    holders: frozenset[Gateway]


class Settlings:
    """The groups that are not settled."""

    def __init__(self) -> None:
        self._of: dict[Group, Settling] = {}
        self._timed: dict[Group, None] = {}
        """Those whose time has not come yet, that of the earliest end first: all last an idle timer."""
        self._looks = Deadlines[int]()

    def __contains__(self, group: object) -> bool:
        return group in self._of

    def get(self, group: Group) -> Settling | None:
        """Return until when a group is not settled, and why; None if it is."""
        return self._of.get(group)

    def begin(self, group: Group, until: float, why: Why, holders: Iterable[Gateway]) -> None:
        """From now on the flows of these gateways have to show themselves."""
        self.end(group)
        self._of[group] = Settling(until, why, frozenset(holders))
        self._timed[group] = None

    def hasten(self, until: float) -> None:
        """The idle timer is another one: nobody has to wait longer than until then."""
        self._of = {group: each._replace(until=min(each.until, until)) for group, each in self._of.items()}

    def look(self, group: Group, now: float) -> None:
        """A second node has joined a group: if it is young, see soon whether it carries anything at all."""
        age = now - group.born
        if age < YOUTH:
            self._looks.set(group.id, now + max(LOOK, age))

    def end(self, group: Group) -> bool:
        """The group is settled; tell whether it was not."""
        self._looks.set(group.id, None)
        self._timed.pop(group, None)
        return self._of.pop(group, None) is not None

    def left(self, group: Group) -> bool:
        """A group has lost legs: if no holder is left there is nothing to wait for. Tell whether that ends it."""
        settling = self._of.get(group)
        return settling is not None and settling.holders.isdisjoint(group.legs) and self.end(group)

    def due(self, now: float) -> list[Group]:
        """Return the groups whose time has come, each once: it may be that they cannot be settled yet."""
        found: list[Group] = []
        for group in self._timed:
            if self._of[group].until > now:
                break
            found.append(group)
        for group in found:
            del self._timed[group]
        return found

    def is_over(self, group: Group, now: float) -> bool:
        """Tell whether the time of a group that is not settled has come."""
        return group in self._of and self._of[group].until <= now

    def looks_due(self, now: float) -> list[int]:
        """Return the groups that are to be looked into now, each once."""
        return self._looks.due(now)

    @property
    def next(self) -> float | None:
        """When something is due; None if nothing is."""
        first = next(iter(self._timed), None)
        times = (None if first is None else self._of[first].until, self._looks.next)
        return min((time for time in times if time is not None), default=None)
