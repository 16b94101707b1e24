"""What the kernel is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from routerd.core.route import Address, Prefix


class Gateway(NamedTuple):
    """Where a next hop leaves the router: the neighbour's address and the interface index."""

    address: Address
    ifindex: int


class Member(NamedTuple):
    """A member of a nexthop group: a nexthop object's id and its weight, 1 to 65535."""

    id: int
    weight: int = 1


@dataclass(frozen=True, slots=True)
class SetNexthop:
    """Create or replace a nexthop object. With `onlink` the kernel does not ask whether a connected network holds the
    gateway (RTNH_F_ONLINK)."""

    id: int
    gateway: Gateway
    onlink: bool = False


@dataclass(frozen=True, slots=True)
class DeleteNexthop:
    """Delete a nexthop object or a group: the kernel takes it out of every group, or flushes its routes. Of a group
    that `returns`, what its buckets lead to is remembered."""

    id: int
    returns: bool = False


@dataclass(frozen=True, slots=True)
class SetGroup:
    """Create a group, or replace its members in place. `buckets` 0 makes a hash-threshold group.

    `idle_timer` and `unbalanced_timer` are seconds; kernel doc: networking/nexthop-group-resilient. A group made
    `like` another one starts with its buckets as they are now: prefixes that move there keep their flows. If that
    one, perhaps this group itself, is gone, they are what they were last known to be. A group that is there, and is
    to be like itself, gives members that return the buckets again that they had and nobody uses. On `hold` no bucket
    goes from one member to another, whatever the weights say: only those of members that leave. If a group that
    should be `known` to the kernel turns out to be gone it is made again, and a GroupLost says so.
    """

    id: int
    members: tuple[Member, ...]
    buckets: int = 0
    idle_timer: float = 0.0
    unbalanced_timer: float = 0.0
    like: int = 0
    hold: bool = False
    known: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Arrange:
    """Hand the buckets of a group that no flow uses to these members: `layout` has runs of buckets, the nexthop id of
    each and how many follow one another. Those that are in use, as the kernel says at that moment, stay.

    If it is `by_weight` the kernel picks just these by itself, and if it does not, as flows have begun meanwhile, it
    does not matter which idle ones of a member go."""

    id: int
    layout: tuple[tuple[int, int], ...]
    by_weight: bool = False


@dataclass(frozen=True, slots=True)
class SetRoutes:
    """Point prefixes at a nexthop group, creating or replacing their routes."""

    id: int
    prefixes: tuple[Prefix, ...]


@dataclass(frozen=True, slots=True)
class DeleteRoutes:
    """Remove routerd's routes to these prefixes."""

    prefixes: tuple[Prefix, ...]


Operation = SetNexthop | DeleteNexthop | SetGroup | Arrange | SetRoutes | DeleteRoutes
"""What the kernel is asked to do. The order of a list of operations is the order of writing."""
