"""What the buckets of resilient groups led to when they were last read: the kernel deletes a group with its last
member, without a word, and routerd makes it again as it was.

Groups are read some time after they were written, and again until every member has as many buckets as it wants: then
none moves any more. A bucket that moves between the last reading and the loss was idle.
"""

from __future__ import annotations

import contextlib
from array import array
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from itertools import groupby

from routerd.core.message import Gateway, Member
from routerd.kernel import lookup

AT_ONCE = 128
"""Groups that are read at a time: each takes a third of a millisecond."""
_LIMIT = 1 << 21
"""Numbers that are remembered, of two octets each, two a run of buckets; the longest not read go first."""

Runs = list[tuple[int, int]]
"""The members of buckets in the order of their index, each with how many follow one another."""
Layout = tuple[tuple[Gateway, ...], "array[int]"]
"""Gateways, and the runs of buckets: the index of a gateway, and the length, by turns."""


class Memory:
    """The layouts of groups, by id. `gateways` says where nexthop objects lead to."""

    def __init__(self, gateways: Mapping[int, Gateway]) -> None:
        self._gateways = gateways
        self._members: dict[int, tuple[Member, ...]] = {}
        self._layouts: dict[int, Layout] = {}
        self._unsettled: dict[int, None] = {}
        self._unread: set[int] = set()
        """Groups whose layout is known only as they were made with it."""
        self._lost: set[int] = set()
        self._lost_before: set[int] = set()
        self._size = 0

    def written(self, group: int, members: tuple[Member, ...], *, held: bool = False) -> None:
        """A resilient group has these members now: unless it is `held`, its buckets are about to move."""
        self._members[group] = members
        if not held and group in self._unread:
            self._unread.discard(group)
            self._drop(group)
        self._unsettled[group] = None

    def members(self, group: int) -> tuple[Member, ...]:
        """Return the members with which a group was last written."""
        return self._members.get(group, ())

    def lost(self, nexthop: int) -> None:
        """A nexthop object was deleted: the buckets of all its groups have moved."""
        self._lost.add(nexthop)

    def forget(self, group: int) -> None:
        """A group was deleted, and will not come back."""
        self._members.pop(group, None)
        self._unsettled.pop(group, None)
        self._unread.discard(group)
        self._drop(group)

    def recall(self, group: int, members: tuple[Member, ...]) -> Runs:
        """Return the buckets of a group that is gone, by the nexthop objects of these members; others are 0."""
        if group not in self._layouts:
            return []
        gateways, runs = self._layouts[group]
        ids = {self._gateways.get(member.id): member.id for member in members}
        here = [ids.get(gateway, 0) for gateway in gateways]
        return [(here[owner], length) for owner, length in zip(runs[::2], runs[1::2], strict=True)]

    def counts(self, group: int) -> dict[Gateway, int]:
        """Return how many buckets each gateway had when the group was last read; empty if it never was."""
        gateways, runs = self._layouts.get(group, ((), array("H")))
        counts = dict.fromkeys(gateways, 0)
        for owner, length in zip(runs[::2], runs[1::2], strict=True):
            counts[gateways[owner]] += length
        return counts

    def made(self, group: int, runs: Runs) -> None:
        """A group was made with this layout."""
        self._note(group, runs)
        self._unread.add(group)

    def keep(self, groups: Container[int]) -> None:
        """These groups are there, and no others: of those that the kernel has deleted only layouts are left."""
        for group in [group for group in self._members if group not in groups]:
            del self._members[group]
            self._unsettled.pop(group, None)
            self._unread.discard(group)

    def due(self) -> list[int]:
        """Return some of the groups that have changed: `look` at them, and `note` what is found.

        Those that have lost a member come the time after next: the kernel may tell late that the link is down, and
        what is to be known then is what was before."""
        lost, self._lost_before, self._lost = self._lost_before, self._lost, set()
        if lost:
            for group, members in self._members.items():
                if any(member.id in lost for member in members):
                    self._unsettled[group] = None
        due = list(self._unsettled)[:AT_ONCE]
        for group in due:
            del self._unsettled[group]
        return due

    def note(self, read: Mapping[int, Runs]) -> None:
        """Keep what was read of groups, unless they were deleted meanwhile."""
        for group, runs in read.items():
            members = self._members.get(group)
            if members is None:
                continue
            self._unread.discard(group)
            if self._note(group, runs) and not _is_settled(runs, members):
                self._unsettled[group] = None

    def _note(self, group: int, runs: Runs) -> bool:
        """Keep a layout; False if what was read is not of this moment: one of the objects is gone already."""
        gateways: dict[Gateway, int] = {}
        kept = array("H")
        for id_, length in runs:
            gateway = self._gateways.get(id_)
            if gateway is None:
                return False
            kept.extend((gateways.setdefault(gateway, len(gateways)), length))
        self._drop(group)
        self._layouts[group] = (tuple(gateways), kept)
        self._size += len(kept)
        while self._size > _LIMIT:
            self._drop(next(iter(self._layouts)))
        return True

    def _drop(self, group: int) -> None:
        layout = self._layouts.pop(group, None)
        self._size -= len(layout[1]) if layout is not None else 0


def look(groups: Iterable[int]) -> dict[int, Runs]:
    """Read the buckets of groups; one that is gone is absent, and what is known of it is what it was. Blocking, for a
    thread."""
    found: dict[int, Runs] = {}
    for group in groups:
        with contextlib.suppress(OSError):
            found[group] = [(owner, len(list(run))) for owner, run in groupby(lookup.owners(group))]
    return found


def _is_settled(runs: Runs, members: tuple[Member, ...]) -> bool:
    counts, total = Counter[int](), sum(member.weight for member in members)
    for owner, length in runs:
        counts[owner] += length
    buckets = counts.total()
    return all(abs(counts[member.id] - buckets * member.weight / total) <= 1 for member in members)
