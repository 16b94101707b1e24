"""What the writer may replace and delete: routes, nexthops and groups that are known to be routerd's."""

from __future__ import annotations

import errno
import time
from collections.abc import Collection, Iterable

from routerd.core.layout import made
from routerd.core.message import (
    RTPROT_BGP,
    Gateway,
    KernelGroup,
    KernelNexthop,
    KernelObjects,
    Member,
    SetGroup,
    SetNexthop,
    WriteFailed,
)
from routerd.core.route import Prefix
from routerd.kernel import wire
from routerd.kernel.buckets import Buckets
from routerd.kernel.memory import Memory, Runs
from routerd.kernel.spare import CREATE

TOLD_LATE = 2.0
"""Seconds after which the kernel has told, at most, that a link has lost its carrier, and its nexthop objects."""


class OwnedRoutes:
    """The routes that are known to be ours, and the nexthop id of each.

    A dump takes its time: what was written since it was `begun` is newer than what it says of that.
    """

    def __init__(self) -> None:
        self._ids: dict[Prefix, int] = {}
        self._since: set[Prefix] | None = None
        """The prefixes that were written since the dump was begun that is being read; None if none is."""

    def __contains__(self, prefix: object) -> bool:
        return prefix in self._ids

    def among(self, candidates: Iterable[Prefix]) -> set[Prefix]:
        """Return those that are ours."""
        return self._ids.keys() & candidates if self._ids else set()

    def ids(self, prefixes: Iterable[Prefix]) -> list[int | None]:
        """Return the nexthop id of each route, None where it is not ours."""
        return list(map(self._ids.get, prefixes))

    def begin(self) -> None:
        """A dump of the kernel begins; nothing is being written at the moment."""
        self._since = set()

    def adopt(self, found: dict[Prefix, int]) -> None:
        """Learn from a dump, which was begun or took no time, what is ours: this, and nothing else."""
        since = self._since or set()
        ids = {prefix: self._ids[prefix] for prefix in since if prefix in self._ids}
        ids.update(found if not since else {prefix: id for prefix, id in found.items() if prefix not in since})
        self._ids, self._since = ids, None

    def add(self, prefixes: Collection[Prefix], id: int) -> None:
        """These routes were written."""
        ids = self._ids
        for prefix in prefixes:
            ids[prefix] = id
        if self._since is not None:
            self._since.update(prefixes)

    def remove(self, prefixes: Collection[Prefix]) -> None:
        """These routes were deleted."""
        for prefix in prefixes:
            self._ids.pop(prefix, None)
        if self._since is not None:
            self._since.update(prefixes)


class OwnedObjects:
    """The nexthops and groups that are known to be ours, those whose ids are among `ids`.

    `gateways` says where nexthops lead to, `buckets` which ones carry flows, and `memory` where those of groups that
    are gone led to. `weights` has the members of the groups that are held, as they are wanted. `writes` is another
    number whenever something may have been written.
    """

    def __init__(self, ids: range) -> None:
        self._range = ids
        self._ids: set[int] = set()
        self.writes = 0
        self.gateways: dict[int, Gateway] = {}
        self.weights: dict[int, tuple[Member, ...]] = {}
        self.buckets = Buckets()
        self.memory = Memory(self.gateways, self.buckets.moved)

    def __contains__(self, id: object) -> bool:
        return id in self._ids

    def have(self, members: Iterable[Member]) -> bool:
        """Tell whether all of these members are ours."""
        return self._ids.issuperset([member.id for member in members])

    def adopt(self, found: KernelObjects) -> None:
        """Learn what is ours: these, and no others. They were read now, with all written."""
        self._ids = set(own_nexthops(found.nexthops, found.groups, self._range))
        mine = (nexthop for nexthop in found.nexthops if nexthop.id in self._ids)
        gateways = {nexthop.id: nexthop.gateway for nexthop in mine if nexthop.gateway}
        for gone in self.gateways.keys() - gateways.keys():
            self.memory.lost(gone)
            self.buckets.lost(self.gateways[gone], time.monotonic() - TOLD_LATE)
        self.gateways.clear()
        self.gateways.update(gateways)
        self.memory.keep(self._ids)
        self.buckets.keep(self._ids)
        for group in self.weights.keys() - self._ids:
            del self.weights[group]

    def flags(self, operation: SetNexthop | SetGroup) -> int:
        """Return how a nexthop or group is to be written: unless it is ours, it is created, never replaced."""
        if operation.id not in self._ids:
            return CREATE
        known = isinstance(operation, SetGroup) and operation.known
        return wire.NLM_F_REPLACE if known else wire.NLM_F_CREATE | wire.NLM_F_REPLACE

    def nexthop_made(self, id: int) -> None:
        """A nexthop was made or replaced."""
        self._ids.add(id)

    def group_made(self, group: SetGroup) -> None:
        """A group was made, or has other members now."""
        if group.buckets:
            self.memory.written(group.id, group.members, held=group.hold)
            if group.id not in self._ids:
                self.buckets.made(group.id)
                self.memory.made(group.id, made(group.buckets, group.members))
        self._ids.add(group.id)

    def group_continued(self, group: SetGroup, layout: Runs, busy: Collection[int]) -> None:
        """A group was made with a layout, and these of its buckets carry flows."""
        self._ids.add(group.id)
        self.buckets.made(group.id, busy)
        self.memory.written(group.id, group.members)
        self.memory.made(group.id, layout)

    def vanished(self, group: int) -> None:
        """A group was found to be gone, and is about to be made again."""
        self._ids.discard(group)

    def deleted(self, id: int, since: float, *, returns: bool) -> None:
        """A nexthop was deleted at some moment `since` then, or a group, perhaps one that `returns`."""
        self._ids.discard(id)
        if (gateway := self.gateways.pop(id, None)) is None:
            self.memory.forget(id, layout=not returns)
        else:
            self.memory.lost(id)
            self.buckets.lost(gateway, since)
        self.buckets.gone(id)
        self.weights.pop(id, None)


def own_nexthops(nexthops: Iterable[KernelNexthop], groups: Iterable[KernelGroup], ids: range) -> list[int]:
    """Return the ids of routerd's groups, then of its nexthop objects: what has protocol bgp and one of `ids`."""
    found: list[KernelGroup | KernelNexthop] = [*groups, *nexthops]
    return [entry.id for entry in found if entry.protocol == RTPROT_BGP and entry.id in ids]


def refusal(operation: SetNexthop | SetGroup, number: int, text: str) -> WriteFailed:
    """Return what is to be said when the kernel refused a nexthop or group."""
    return WriteFailed(operation, number, not_ours(operation.id) if number == errno.EEXIST else text)


def not_ours(id: int) -> str:
    """Return a line about an id that is not routerd's."""
    return f"nexthop id {id} is not routerd's: another program has it, or nobody"
