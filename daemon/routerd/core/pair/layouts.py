"""Where the buckets of a group lead, in words that mean the same on both routers: addresses of gateways."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Set
from typing import NamedTuple

from routerd.core.fib.model import Group
from routerd.core.fib.settling import Settling
from routerd.core.message import BucketsRead, Gateway, GroupLayout
from routerd.core.route import Address, format_prefix


class Held(NamedTuple):
    """The owner of each bucket, a mask of those in which flows are, or may be, and all legs of the group. `drained`
    are the members that are to get no new flow."""

    owners: tuple[Address, ...]
    busy: int
    legs: frozenset[Address]
    settled: bool = True
    drained: frozenset[Address] = frozenset()

    def bits(self) -> list[bool]:
        """Return for each bucket whether it is busy."""
        if not self.busy:
            return [False] * len(self.owners)
        return [bit == "1" for bit in reversed(f"{self.busy:0{len(self.owners)}b}")]

    def used_by(self, unseen: Collection[Address]) -> Held:
        """Return the same, all buckets of these owners busy: flows that have yet to show themselves may be there."""
        if not unseen:
            return self
        return self._replace(busy=self.busy | self.mask(unseen))

    def mask(self, legs: Collection[Address]) -> int:
        """Return a mask of the buckets that these have."""
        return int("".join("1" if owner in legs else "0" for owner in reversed(self.owners)), 2)


def indices(mask: int) -> Iterator[int]:
    """Yield the buckets of a mask."""
    return (index for index, bit in enumerate(reversed(f"{mask:b}")) if bit == "1")


def key_of(group: Group) -> str:
    """Return the name of a group on both routers: its prefix, or a digest of what is wanted of it if it is shared;
    empty if no prefix uses it."""
    if not group.prefixes:
        return ""
    if not group.shared and len(group.prefixes) == 1:
        return format_prefix(next(iter(group.prefixes)))
    members, leaving = _digestible(group.members), _digestible(group.wanted.leaving)
    return "shared:" + hashlib.sha256(members + bytes(group.wanted.weights) + leaving).hexdigest()[:16]


def _digestible(gateways: Collection[Gateway]) -> bytes:
    return b"".join(bytes([len(each)]) + each for each in sorted(gateway.address for gateway in gateways))


def read(
    group: Group,
    message: BucketsRead,
    nexthops: Mapping[Gateway, int],
    settling: Settling | None,
    draining: Set[Gateway] = frozenset(),
) -> Held | None:
    """Return what was read of a group; None if that is not of this moment: it has other legs, as when a link has
    gone and has yet to say so.

    Flows that have not shown themselves may be in each bucket of those that they go to.
    """
    addresses = {nexthops[leg]: leg.address for leg in group.legs if leg in nexthops}
    if (
        len(message.owners) != group.buckets
        or addresses.keys() != set(message.members)
        or not addresses.keys() >= set(message.owners)
    ):
        return None
    owners = tuple(map(addresses.__getitem__, message.owners))
    holders = (
        frozenset(settling.holders) if settling is not None else frozenset(group.legs) if group.untracked else ()
    )
    unseen = {holder.address for holder in holders}
    light = draining | group.wanted.light
    drained = frozenset(each.address for each in group.members if each in light)
    held = Held(owners, message.busy, frozenset(addresses.values()), settling is None, drained)
    return held.used_by(unseen)


def said(key: str, held: Held, answers: int, *, fresh: bool) -> GroupLayout:
    """Return what is told of a group, which was read a moment ago if it is `fresh`."""
    members = tuple(sorted(held.legs))
    index = {address: number for number, address in enumerate(members)}
    owners, drained = tuple(map(index.__getitem__, held.owners)), tuple(sorted(held.drained))
    return GroupLayout(key, members, owners, held.busy, held.settled, answers, drained, fresh)


def heard(layout: GroupLayout) -> Held | None:
    """Return what was told of a group; None if it makes no sense."""
    size, members = len(layout.owners), layout.members
    if not size or min(layout.owners) < 0 or max(layout.owners) >= len(members) or layout.busy >> size:
        return None
    owners = tuple(map(members.__getitem__, layout.owners))
    return Held(owners, layout.busy, frozenset(members), layout.settled, frozenset(layout.drained))
