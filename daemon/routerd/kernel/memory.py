"""What the buckets of resilient groups led to when they were last read: the kernel deletes a group with its last
member, without a word, and routerd makes it again as it was.

Groups are read as soon as they were written, and again until every member has as many buckets as it wants: then none
moves any more. A bucket that moves between the last reading and the loss was idle. When a member is lost, what it had
is remembered for a while: it may return, and its flows may be there still.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from array import array
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from itertools import chain, compress, count, groupby, repeat
from operator import ne
from typing import NamedTuple

from routerd.core.layout import AT_ONCE_LOST, KEPT, made
from routerd.core.message import Gateway, Member
from routerd.kernel import lookup

AT_ONCE = 128
"""Groups that are read at a time: each takes a third of a millisecond."""
_LIMIT = 1 << 21
"""Numbers that are remembered, of two octets each, two a run of buckets; the longest not read go first."""

Moved = Callable[[int, dict[Gateway, list[int]]], None]
Runs = list[tuple[int, int]]
"""The members of buckets in the order of their index, each with how many follow one another."""


class Layout(NamedTuple):
    """Gateways, and the runs of buckets: the index of a gateway, and the length, by turns. `counts` is how many
    buckets each gateway has."""

    gateways: tuple[Gateway, ...]
    runs: array[int]
    counts: tuple[int, ...]


_NOTHING = Layout((), array("H"), ())


class Memory:
    """The layouts of groups, by id. `gateways` says where nexthop objects lead to; `moved` is called with a group and
    its buckets that are found to lead elsewhere, by whom they led to. `changed` is set when there are groups to be
    read at once."""

    def __init__(self, gateways: Mapping[int, Gateway], moved: Moved) -> None:
        self._gateways = gateways
        self._moved = moved
        self._members: dict[int, tuple[Member, ...]] = {}
        self._layouts: dict[int, Layout] = {}
        self._past: dict[int, list[tuple[float, Layout]]] = {}
        """Layouts of groups before they lost members, and since when they are past, the latest last."""
        self.changed = asyncio.Event()
        self._written: dict[int, None] = {}
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
        self._written[group] = None
        self.changed.set()

    def members(self, group: int) -> tuple[Member, ...]:
        """Return the members with which a group was last written."""
        return self._members.get(group, ())

    def lost(self, nexthop: int) -> None:
        """A nexthop object was deleted: the buckets of all its groups have moved."""
        self._lost.add(nexthop)
        self.changed.set()

    def forget(self, group: int, *, layout: bool) -> None:
        """A group was deleted; unless it will come back its `layout` is of no use, either."""
        self._members.pop(group, None)
        self._written.pop(group, None)
        self._unsettled.pop(group, None)
        self._unread.discard(group)
        if layout:
            self._drop(group)

    def joined(self, group: int, members: tuple[Member, ...]) -> list[Member]:
        """Return those of these members with which a group was not written before."""
        before = {member.id for member in self.members(group)}
        return [member for member in members if member.id not in before]

    def remembers(self, group: int, members: Iterable[Member]) -> bool:
        """Tell whether one of these members had buckets of a group until it was lost."""
        gateways = self._latest(group, KEPT, members).gateways
        return any(self._gateways.get(member.id) in gateways for member in members)

    def recall(
        self, group: int, members: Iterable[Member], within: float = AT_ONCE_LOST, *, back: Iterable[Member] = ()
    ) -> Runs:
        """Return the buckets of a group before it was lost, or lost members `within` so many seconds, by the nexthop
        objects of these members; others are 0. If some are `back` what counts is what those had last."""
        layout = self._latest(group, within, back)
        ids = {self._gateways.get(member.id): member.id for member in members}
        here = [ids.get(gateway, 0) for gateway in layout.gateways]
        return [(here[owner], length) for owner, length in zip(layout.runs[::2], layout.runs[1::2], strict=True)]

    def _latest(self, group: int, within: float, back: Iterable[Member]) -> Layout:
        """Return the latest layout in which one of those `back` had buckets, and which is no step of a loss."""
        now, those = time.monotonic(), {self._gateways.get(member.id) for member in back}
        current = self._layouts.get(group, _NOTHING)
        past = [each for each in self._past.get(group, ()) if now - each[0] < within]
        if not past or now - past[-1][0] >= AT_ONCE_LOST:
            past.append((now, current))
        found = (layout for _, layout in reversed(past) if not those or not those.isdisjoint(layout.gateways))
        return next(found, current)

    def standing(self, group: int) -> Counter[int]:
        """Return how many buckets each nexthop object has, if none moves: the group was read with all written, and
        each has as many as it wants. Empty if it is not so, or if a member may be lost."""
        moving = (self._written, self._unsettled, self._unread)
        if self._lost or self._lost_before or any(group in some for some in moving):
            return Counter()
        ids = {self._gateways.get(member.id): member.id for member in self.members(group)}
        layout = self._layouts.get(group, _NOTHING)
        if not ids.keys() >= set(layout.gateways):
            return Counter()
        return Counter(dict(zip(map(ids.__getitem__, layout.gateways), layout.counts, strict=True)))

    def counts(self, group: int) -> dict[Gateway, int]:
        """Return how many buckets each gateway had when the group was last read; empty if it never was."""
        layout = self._layouts.get(group, _NOTHING)
        return dict(zip(layout.gateways, layout.counts, strict=True))

    def made(self, group: int, runs: Runs) -> None:
        """A group was made with this layout."""
        self._note(group, runs)
        self._unread.add(group)

    def keep(self, groups: Container[int]) -> None:
        """These groups are there, and no others: of those that the kernel has deleted only layouts are left."""
        for group in [group for group in self._members if group not in groups]:
            self.forget(group, layout=False)

    def settled(self) -> bool:
        """Tell whether nothing is due until something has `changed`."""
        return not (self._written or self._unsettled or self._lost or self._lost_before)

    def due(self) -> list[int]:
        """Return some of the groups that have changed, those first that were written since they were read: `look` at
        them, and `note` what is found.

        Those that have lost a member come the time after next: the kernel may tell late that the link is down, and
        what is to be known then is what was before."""
        self.changed.clear()
        lost, self._lost_before, self._lost = self._lost_before, self._lost, set()
        if lost:
            for group, members in self._members.items():
                if any(member.id in lost for member in members):
                    self._unsettled[group] = None
        # Those that are as they were made are known, and come last.
        due = sorted(dict.fromkeys(chain(self._written, self._unsettled)), key=self._unread.__contains__)[:AT_ONCE]
        for group in due:
            self._written.pop(group, None)
            self._unsettled.pop(group, None)
        return due

    def seen(self, group: int, owners: Iterable[int]) -> None:
        """The buckets of a group lead to these nexthop objects now, with all written."""
        self._written.pop(group, None)
        self._unsettled.pop(group, None)
        self.note({group: runs_of(owners)})
        if group in self._unsettled:
            self.changed.set()

    def note(self, read: Mapping[int, Runs]) -> None:
        """Keep what was read of groups, unless they were deleted meanwhile."""
        for group, runs in read.items():
            members = self._members.get(group)
            if members is None:
                continue
            self._unread.discard(group)
            left = [member for member in members if member.id in self._gateways]
            if self._note(group, runs) and not _is_settled(runs, left):
                self._unsettled[group] = None

    def _note(self, group: int, runs: Runs) -> bool:
        """Keep a layout; False if what was read is not of this moment: one of the objects is gone already."""
        gateways: dict[Gateway, int] = {}
        counts: list[int] = []
        kept: list[int] = []
        for id_, length in runs:
            gateway = self._gateways.get(id_)
            if gateway is None:
                return False
            owner = gateways.setdefault(gateway, len(gateways))
            if owner == len(counts):
                counts.append(0)
            counts[owner] += length
            kept += owner, length
        before, after = self._layouts.get(group), Layout(tuple(gateways), array("H", kept), tuple(counts))
        if before is not None and before != after:
            owners, moved = list(_expanded(before)), dict[Gateway, list[int]]()
            for index in compress(count(), map(ne, owners, _expanded(after))):
                moved.setdefault(owners[index], []).append(index)
            self._moved(group, moved)
        if before is not None or group in self._past:
            self._keep_past(group, gateways.keys())
        self._layouts[group] = after
        self._size += len(kept)
        while self._size > _LIMIT:
            self._drop(next(iter(self._layouts)))
        return True

    def _keep_past(self, group: int, gateways: Set[Gateway]) -> None:
        """Another layout takes the place of what was known, which is kept if it has members that are lost. Of what is
        lost at once, in steps, the first counts."""
        now, before = time.monotonic(), self._layouts.pop(group, None)
        known = [*self._past.pop(group, ()), *([(now, before)] if before is not None else [])]
        kept: list[tuple[float, Layout]] = []
        for time_, layout in known:
            is_step = bool(kept) and time_ - kept[-1][0] < AT_ONCE_LOST
            if is_step or now - time_ >= KEPT or gateways >= set(layout.gateways):
                self._size -= len(layout.runs)
            else:
                kept.append((time_, layout))
        if kept:
            self._past[group] = kept

    def _drop(self, group: int) -> None:
        layouts = [layout for _, layout in self._past.pop(group, ())]
        self._size -= sum(len(layout.runs) for layout in (*layouts, self._layouts.pop(group, _NOTHING)))


def runs_of(owners: Iterable[int]) -> Runs:
    """Return the runs of buckets, given the nexthop id of each by index."""
    return [(owner, len(list(run))) for owner, run in groupby(owners)]


def _expanded(layout: Layout) -> Iterator[Gateway]:
    """Yield where each bucket leads."""
    gateways, runs, _ = layout
    return chain.from_iterable(
        repeat(gateways[owner], length) for owner, length in zip(runs[::2], runs[1::2], strict=True)
    )


def look(groups: Iterable[int]) -> dict[int, Runs]:
    """Read the buckets of groups; one that is gone is absent, and what is known of it is what it was. Blocking, for a
    thread."""
    found: dict[int, Runs] = {}
    for group in groups:
        with contextlib.suppress(OSError):
            found[group] = runs_of(lookup.owners(group))
    return found


def _is_settled(runs: Runs, members: Sequence[Member]) -> bool:
    """Tell whether every member has as many buckets as the kernel wants it to have, to the last one."""
    counts = Counter[int]()
    for owner, length in runs:
        counts[owner] += length
    return bool(members) and counts == Counter(dict(made(counts.total(), members)))
