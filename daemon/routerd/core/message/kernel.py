"""What the kernel was found to hold, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from routerd.core.message.operation import Gateway, Member, Operation
from routerd.core.route import Address, Prefix

RTPROT_BGP = 186
"""Linux: linux/rtnetlink.h. What is routerd's in the kernel bears it, and perhaps what is of another BGP speaker."""

PROTOCOLS = {
    2: "kernel", 3: "boot", 4: "static", 9: "ra", 11: "zebra", 12: "bird", 16: "dhcp", 17: "mrouted",
    18: "keepalived", 42: "babel", 99: "openr", RTPROT_BGP: "bgp", 187: "isis", 188: "ospf", 189: "rip", 192: "eigrp",
}  # fmt: skip
"""Linux: linux/rtnetlink.h, rtm_protocol."""

ROUTE_TYPES = {1: "unicast", 6: "blackhole", 7: "unreachable", 8: "prohibit", 9: "throw"}
"""Linux: linux/rtnetlink.h, rtm_type; those of the main table."""


@dataclass(frozen=True, slots=True)
class KernelNexthop:
    """A nexthop object that the kernel holds; `gateway` is None for a device nexthop, which leads to the interface
    with index `device`, and for a blackhole. `onlink`: see `Leg`."""

    id: int
    protocol: int
    gateway: Gateway | None
    device: int = 0
    onlink: bool = False


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


class Leg(NamedTuple):
    """A way out of a route: `gateway` is None on a connected network. `onlink` (RTNH_F_ONLINK): the operator says
    that the gateway is on the link, though no connected network holds it."""

    gateway: Address | None
    ifindex: int
    onlink: bool = False


class ForeignRoute(NamedTuple):
    """What a route of the main table that is not routerd's says of its prefix. Thousands of prefixes share one.

    `kind` is rtm_type (1 unicast, 6 blackhole, 7 unreachable, 8 prohibit, 9 throw), `protocol` rtm_protocol. `legs`
    are those of nexthop object or group `nexthop` if that is not 0, and empty here.
    """

    kind: int
    protocol: int
    metric: int
    nexthop: int
    legs: tuple[Leg, ...]


ForeignRoutes = dict[Prefix, tuple[ForeignRoute, ...]]
"""The routes to each prefix in the kernel's order: the lowest metric first."""


class RouteChange(NamedTuple):
    """A route of the main table that somebody else added or deleted (RTM_NEWROUTE, RTM_DELROUTE).

    `own` tells that it bears routerd's marks. An added one `replaces` another of the same metric (NLM_F_REPLACE), is
    `appended` to those (NLM_F_APPEND), or comes before them.
    """

    prefix: Prefix
    route: ForeignRoute
    own: bool = False
    deleted: bool = False
    replaces: bool = False
    appended: bool = False


class NexthopChange(NamedTuple):
    """A nexthop object or group that is not routerd's was added, replaced or deleted (`now` is None)."""

    id: int
    now: KernelNexthop | KernelGroup | None


@dataclass(frozen=True, slots=True)
class RoutesChanged:
    """What the kernel told of routes and nexthops that others wrote, in order."""

    changes: tuple[RouteChange | NexthopChange, ...]


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
    foreign: ForeignRoutes
    foreign_bgp: ForeignBgp = ForeignBgp()


@dataclass(frozen=True, slots=True)
class KernelObjects:
    """What is few and read at once when a link, an address or a nexthop has changed: all but the routes."""

    interfaces: tuple[Interface, ...]
    nexthops: tuple[KernelNexthop, ...]
    groups: tuple[KernelGroup, ...]


@dataclass(frozen=True, slots=True)
class RouteAudit:
    """Where the kernel's routes differed from `Fib.expected` as it was when the audit began. `missing` are absent,
    `wrong` lead to another id, `unknown` are routerd's by mark but not expected. `foreign` has the prefixes at which
    others have other routes than was known, with these routes, none where there is none any more. `since` is what was
    told of routes while the kernel was read: the dump may be older or newer than that."""

    expected: dict[Prefix, int]
    missing: tuple[Prefix, ...]
    wrong: dict[Prefix, int]
    unknown: dict[Prefix, int]
    foreign: ForeignRoutes
    foreign_bgp: ForeignBgp = ForeignBgp()
    since: tuple[RouteChange | NexthopChange, ...] = ()


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
class GroupsUnused:
    """Groups that have carried no packet since they were last written, of those asked for by FindUnused."""

    ids: tuple[int, ...]


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
class Diversion:
    """A prefix that the kernel's own lookup does not lead to routerd's route for. `errno` is how it fails, 0 if it
    does not: then it ends at another route, in table number `table`."""

    prefix: Prefix
    errno: int
    table: int


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
