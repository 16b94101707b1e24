"""Every message that crosses a seam between the rooms.

Inputs come from the speaker and the kernel and go into `Router.handle`; effects come out of it and are carried
out by the composition root. All are frozen and hold plain data, so that a run can be recorded and replayed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from routerd.route import Address, Attributes, Family, Prefix

# --------------------------------------------------------------------------------------------- from the speaker


@dataclass(frozen=True, slots=True)
class GracefulRestart:
    """The Graceful Restart capability of an OPEN (RFC 4724 section 3, RFC 8538 for the N bit).

    `time` is in seconds; `families` maps each listed family to its F bit (forwarding state preserved).
    """

    restarting: bool
    notification: bool
    time: int
    families: dict[Family, bool]


@dataclass(frozen=True, slots=True)
class Open:
    """What one side's OPEN said (RFC 4271 section 4.2, capabilities after RFC 5492)."""

    asn: int
    hold_time: int
    router_id: Address
    families: frozenset[Family]
    four_octet_as: bool
    route_refresh: bool
    extended_message: bool
    graceful_restart: GracefulRestart | None


@dataclass(frozen=True, slots=True)
class SessionUp:
    """A session reached ESTABLISHED. `peer` and `local` are addresses as text; `generation` numbers the session.

    A later message of an older generation is stale and must be ignored.
    """

    peer: str
    generation: int
    local: str
    received: Open
    sent: Open
    dynamic: bool = False


@dataclass(frozen=True, slots=True)
class Notification:
    """A NOTIFICATION (RFC 4271 section 4.5): who sent it, its code, subcode and data."""

    sent: bool
    code: int
    subcode: int
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class SessionDown:
    """A session ended, or failed to come up (generation of a session that never was up: no SessionUp came).

    `notification` is None when the TCP connection was lost without one; `reason` is a line for people.
    """

    peer: str
    generation: int
    reason: str
    notification: Notification | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A malformed part of an UPDATE and what was done about it (RFC 7606 section 2).

    `outcome` is "treat-as-withdraw", "attribute-discard" or "session-reset".
    """

    outcome: str
    attribute: int
    text: str


@dataclass(frozen=True, slots=True)
class Update:
    """A decoded UPDATE. Withdrawals apply before announcements.

    `announced` pairs attributes with prefixes: IPv4 NLRI and MP_REACH_NLRI of one UPDATE have different next
    hops. `end_of_rib` names the families whose End-of-RIB marker this UPDATE is (RFC 4724 section 2).
    """

    peer: str
    generation: int
    withdrawn: list[Prefix] = field(default_factory=list)
    announced: list[tuple[Attributes, list[Prefix]]] = field(default_factory=list)
    end_of_rib: Family | None = None
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteRefresh:
    """A peer asks to hear a family again (RFC 2918)."""

    peer: str
    generation: int
    family: Family


@dataclass(frozen=True, slots=True)
class SpeakerDown:
    """The ExaBGP child ended: every session is gone without a NOTIFICATION. It is restarted with back-off."""

    reason: str


# --------------------------------------------------------------------------------------------- from the kernel


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where a next hop leaves the router: the neighbour's address and the interface index."""

    address: Address
    ifindex: int


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a nexthop group: a nexthop object's id and its weight, 1 to 65535."""

    id: int
    weight: int = 1


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
    """The kernel's state, read in one go. `routes` maps routerd's own prefixes to their nexthop id (0: a route
    of protocol bgp and our metric without one). `shadows` are ids of nexthop objects that only the kernel's edge
    knows of: its second ones for members that are alone in their group."""

    interfaces: tuple[Interface, ...]
    nexthops: tuple[KernelNexthop, ...]
    groups: tuple[KernelGroup, ...]
    routes: dict[Prefix, int]
    foreign: tuple[ForeignRoute, ...]
    shadows: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class KernelObjects:
    """What is few and read at once when a link, an address or a nexthop has changed: all but the routes."""

    interfaces: tuple[Interface, ...]
    nexthops: tuple[KernelNexthop, ...]
    groups: tuple[KernelGroup, ...]


@dataclass(frozen=True, slots=True)
class RouteAudit:
    """Where the kernel's routes differed from `Fib.expected` as it was when the audit began, and the foreign
    routes. `missing` are absent, `wrong` lead to another id, `unknown` are routerd's by mark but not expected."""

    expected: dict[Prefix, int]
    missing: tuple[Prefix, ...]
    wrong: dict[Prefix, int]
    unknown: dict[Prefix, int]
    foreign: tuple[ForeignRoute, ...]


@dataclass(frozen=True, slots=True)
class NeighbourState:
    """The link-layer neighbour behind a gateway answers no more (`alive` false), or again."""

    gateway: Gateway
    alive: bool


@dataclass(frozen=True, slots=True)
class GroupMade:
    """A group was made like another one; `flows` tells whether there were any for it to take over."""

    id: int
    flows: bool


@dataclass(frozen=True, slots=True)
class Drain:
    """The operator drains a peer (by address), or ends it: no new flows go there, established ones live on."""

    peer: str
    on: bool


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """The kernel refused an operation. `errno` is positive; `text` is its extended acknowledgement, if any."""

    operation: Operation
    errno: int
    text: str


@dataclass(frozen=True, slots=True)
class Settle:
    """The end of a batch of messages: bring the FIB in line.

    `quiet` tells that no more input waits; only then do prefixes move between groups, so that a set of prefixes
    that changes its members together is seen as one and its group is replaced in place.
    """

    quiet: bool = True


@dataclass(frozen=True, slots=True)
class Work:
    """Do a bounded part of what can wait: purges after a lost session, in slices of a few milliseconds."""


@dataclass(frozen=True, slots=True)
class GroupActivity:
    """How many buckets of each resilient group carried traffic within its idle timer, as asked by InspectGroups.
    A group that no longer exists is absent."""

    busy: dict[int, int]


Input = (
    SessionUp
    | SessionDown
    | Update
    | RouteRefresh
    | SpeakerDown
    | KernelDump
    | WriteFailed
    | Settle
    | Work
    | GroupActivity
    | KernelObjects
    | RouteAudit
    | NeighbourState
    | GroupMade
    | Drain
)

# --------------------------------------------------------------------------------------------- to the kernel


@dataclass(frozen=True, slots=True)
class SetNexthop:
    """Create or replace a nexthop object."""

    id: int
    gateway: Gateway


@dataclass(frozen=True, slots=True)
class DeleteNexthop:
    """Delete a nexthop object or a group: the kernel takes it out of every group, or flushes its routes."""

    id: int


@dataclass(frozen=True, slots=True)
class SetGroup:
    """Create a group, or replace its members in place. `buckets` 0 makes a hash-threshold group.

    `idle_timer` and `unbalanced_timer` are seconds; kernel doc: networking/nexthop-group-resilient. A group made
    `like` another one starts with its buckets as they are now: prefixes that move there keep their flows.
    """

    id: int
    members: tuple[Member, ...]
    buckets: int = 0
    idle_timer: float = 0.0
    unbalanced_timer: float = 0.0
    like: int = 0


@dataclass(frozen=True, slots=True)
class SetRoutes:
    """Point prefixes at a nexthop group, creating or replacing their routes."""

    id: int
    prefixes: tuple[Prefix, ...]


@dataclass(frozen=True, slots=True)
class DeleteRoutes:
    """Remove routerd's routes to these prefixes."""

    prefixes: tuple[Prefix, ...]


Operation = SetNexthop | DeleteNexthop | SetGroup | SetRoutes | DeleteRoutes
"""What the kernel is asked to do. The order of a list of operations is the order of writing."""

# --------------------------------------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class Program:
    """Write these operations to the kernel, in order, after all earlier ones. `urgent` ones go before whatever is not
    written yet: they only delete nexthop objects, and what waits must forget those."""

    operations: tuple[Operation, ...]
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Advertise:
    """Tell a peer: withdraw, then announce, then mark the end of the RIB of these families.

    Attributes are complete, as the peer shall see them: next hop, AS path, MED.
    """

    peer: str
    withdrawn: tuple[Prefix, ...] = ()
    announced: tuple[tuple[Attributes, tuple[Prefix, ...]], ...] = ()
    end_of_rib: tuple[Family, ...] = ()


@dataclass(frozen=True, slots=True)
class CloseSession:
    """End a session with a NOTIFICATION of this code and subcode (RFC 4486 for Cease)."""

    peer: str
    code: int
    subcode: int
    reason: str


@dataclass(frozen=True, slots=True)
class Resync:
    """Dump the kernel and hand the result back: what routerd believes and what is there may differ."""

    reason: str


@dataclass(frozen=True, slots=True)
class InspectGroups:
    """Look which of these resilient groups carry traffic, and answer with GroupActivity."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that operators want to see in the log and the event stream."""

    name: str
    fields: dict[str, str | int | float | bool | None]
    level: str = "info"


Effect = Program | Advertise | CloseSession | Resync | InspectGroups | Event
