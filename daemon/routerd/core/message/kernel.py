"""What the kernel was found to hold, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass

from routerd.core.message.operation import Gateway, Member, Operation
from routerd.core.route import Address, Prefix


@dataclass(frozen=True, slots=True)
class KernelNexthop:
    """A nexthop object that the kernel holds; `gateway` is None for a blackhole or a device nexthop."""

    id: int
    protocol: int
    gateway: Gateway | None


@dataclass(frozen=True, slots=True)
class KernelGroup:
    """A nexthop group that the kernel holds; `buckets` is 0 for a hash-threshold group.

    `idle_timer` and `unbalanced_timer` are seconds, as the kernel reads them back.
    """

    id: int
    protocol: int
    members: tuple[Member, ...]
    buckets: int = 0
    idle_timer: float = 0.0
    unbalanced_timer: float = 0.0


@dataclass(frozen=True, slots=True)
class ForeignRoute:
    """A unicast route of the main table that is not routerd's, for next-hop tracking.

    `gateway` is None for a connected route; `protocol` is rtm_protocol.
    """

    prefix: Prefix
    gateway: Address | None
    ifindex: int
    protocol: int
    metric: int


@dataclass(frozen=True, slots=True)
class ForeignBgp:
    """How much of protocol bgp in the kernel is not routerd's: another daemon's, or what a routerd left that had
    another range of ids. `first` are some of the routes, `nexthops` are objects and groups."""

    routes: int = 0
    nexthops: int = 0
    first: tuple[Prefix, ...] = ()


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface: `up` means administratively up with carrier; `networks` are its connected prefixes
    and `addresses` the router's own addresses on it."""

    index: int
    name: str
    up: bool
    addresses: tuple[Address, ...] = ()
    networks: tuple[Prefix, ...] = ()


@dataclass(frozen=True, slots=True)
class KernelDump:
    """The kernel's state, read in one go. `routes` maps routerd's own prefixes to their nexthop id."""

    interfaces: tuple[Interface, ...]
    nexthops: tuple[KernelNexthop, ...]
    groups: tuple[KernelGroup, ...]
    routes: dict[Prefix, int]
    foreign: tuple[ForeignRoute, ...]
    foreign_bgp: ForeignBgp = ForeignBgp()


@dataclass(frozen=True, slots=True)
class KernelObjects:
    """What is few and read at once when a link, an address or a nexthop has changed: all but the routes."""

    interfaces: tuple[Interface, ...]
    nexthops: tuple[KernelNexthop, ...]
    groups: tuple[KernelGroup, ...]


@dataclass(frozen=True, slots=True)
class RouteAudit:
    """Where the kernel's routes differed from `Fib.expected` as it was when the audit began, and the foreign
    routes, None if they are those of the dump before. `missing` are absent, `wrong` lead to another id, `unknown` are
    routerd's by mark but not expected."""

    expected: dict[Prefix, int]
    missing: tuple[Prefix, ...]
    wrong: dict[Prefix, int]
    unknown: dict[Prefix, int]
    foreign: tuple[ForeignRoute, ...] | None
    foreign_bgp: ForeignBgp = ForeignBgp()


@dataclass(frozen=True, slots=True)
class NeighbourState:
    """The link-layer neighbour behind a gateway answers no more (`alive` false), or again."""

    gateway: Gateway
    alive: bool


@dataclass(frozen=True, slots=True)
class Identified:
    """Link-layer addresses of gateways, each confirmed by the gateway's answer or set by the operator; empty where
    the link has none."""

    addresses: dict[Gateway, bytes]


@dataclass(frozen=True, slots=True)
class GroupMade:
    """A group was made like another one; `flows` tells whether there were any for it to take over."""

    id: int
    flows: bool


@dataclass(frozen=True, slots=True)
class GroupLost:
    """A group that was to be changed was gone, and its routes with it: the kernel deletes both with the last member.
    Now the group is there again, and its routes are not."""

    id: int


@dataclass(frozen=True, slots=True)
class GroupActivity:
    """How many buckets of each resilient group carried traffic within its idle timer, by the nexthop object that they
    lead to, as asked by InspectGroups. A group that no longer exists is absent, and so is an object without any."""

    busy: dict[int, dict[int, int]]


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """The kernel refused an operation. `errno` is positive; `text` is its extended acknowledgement, if any."""

    operation: Operation
    errno: int
    text: str


@dataclass(frozen=True, slots=True)
class KernelLeg:
    """One leg of a route: `nexthop` is 0 for one without a nexthop object, `gateway` None for a connected route."""

    nexthop: int
    gateway: Address | None
    interface: str
    weight: int


@dataclass(frozen=True, slots=True)
class KernelRoute:
    """The main table's route to one prefix. `protocol` is its name, `nexthop` 0 without a nexthop id."""

    protocol: str
    metric: int
    nexthop: int
    legs: tuple[KernelLeg, ...]


@dataclass(frozen=True, slots=True)
class SysctlState:
    """A kernel setting: what is wanted, what stood there at first, what stands there now. `problem` is why it could
    not be read or written, or empty."""

    name: str
    wanted: str
    found: str
    current: str
    problem: str

    @property
    def ok(self) -> bool:
        """Whether it is as wanted."""
        return self.current == self.wanted
