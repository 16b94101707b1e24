"""What the commands that look closer are answered: a single peer, a flow, the kernel's differences, packets by node.

Plain TypedDicts, as in `models.py`, whose words for times and addresses hold here too.
"""

from __future__ import annotations

from typing import TypedDict

from routerd.api.models import GroupMemberView, PeerView, RefusalView


class GracefulRestartView(TypedDict):
    """The Graceful Restart capability of an OPEN (RFC 4724, RFC 8538 for `notification`)."""

    restarting: bool
    notification: bool
    time_seconds: int
    families: dict[str, bool]
    """By family, whether forwarding state was preserved (F bit)."""


class OpenView(TypedDict):
    """What the OPEN of one side said."""

    asn: int
    router_id: str
    hold_time: int
    families: list[str]
    four_octet_as: bool
    route_refresh: bool
    extended_message: bool
    graceful_restart: GracefulRestartView | None
    others: list[int]
    """Codes of capabilities that routerd does not use (IANA, Capability Codes)."""


class TimersView(TypedDict):
    """The timers of a peer."""

    hold_seconds: int | None
    """Agreed with the session that is up; 0 if it has none."""
    keepalive_seconds: float | None
    """A third of it."""
    update_seconds: float | None
    """Since its last UPDATE; None without a session, or before the first one."""
    stale_seconds: float | None
    """Until what is stale goes; None if nothing is, or while no node can dial in."""


class LastErrorView(TypedDict):
    """How the last session ended."""

    reason: str
    notification: str
    """Such as `6/2 received`; empty if the connection was lost without one."""
    seconds: float
    """Since then."""


class MessagesView(TypedDict):
    """Messages of the session that is up. KEEPALIVEs are the BGP child's own, and not counted."""

    updates_received: int
    updates_sent: int
    refreshes_received: int
    refreshes_sent: int
    octets_received: int
    """Of UPDATEs, without their headers."""
    octets_sent: int


class RejectedView(TypedDict):
    """An announcement that policy rejected."""

    prefix: str
    reason: str
    next_hop: str
    as_path: str
    communities: list[str]


class PeerDetailView(TypedDict):
    """`GET /v1/peers/{peer}`: all that is known of one peer."""

    peer: PeerView
    local: str
    """The router's address of the last session; empty before the first one."""
    external: bool | None
    """Whether the last session was eBGP; None before the first one."""
    sent: OpenView | None
    """Of the last session, up or not; None before the first one."""
    received: OpenView | None
    awaiting_end_of_rib: list[str]
    """Families in which it has not said all yet."""
    timers: TimersView
    last_error: LastErrorView | None
    refusals: list[RefusalView]
    """Attempts at a session that came to nothing."""
    messages: MessagesView | None
    """None without a session."""
    rejected_total: int
    rejected: list[RejectedView]
    """Some of them, in the order of their addresses: as many as were asked for and are known by name."""


class FlowView(TypedDict):
    """The flow that was asked about."""

    source: str
    source_port: int | None
    destination: str
    destination_port: int | None
    protocol: str
    interface: str
    """Where its packets are taken to come in; empty if the router itself is their source."""


class FlowRouteView(TypedDict):
    """The kernel's route for a flow."""

    prefix: str
    table: int
    protocol: str
    metric: int
    nexthop_id: int | None
    own: bool
    """Whether it is routerd's."""


class FlowBucketView(TypedDict):
    """The bucket of a resilient group that a flow falls into."""

    index: int | None
    """None if other buckets were in use at the same moment, so that nobody can tell which it is."""
    candidates: int
    """As many buckets it may be."""
    of: int
    idle_seconds: float | None
    """For how long no packet had come, before the kernel was asked; None if the bucket is not known."""


class FlowMemberView(TypedDict):
    """A node that a flow may reach."""

    member: GroupMemberView
    share: float
    """The part of all flows that reach it: of the buckets, or of the weights."""


class ChangedMemberView(TypedDict):
    """A member that a change brought, took or gave another weight."""

    gateway: str
    peers: list[str]
    what: str
    """`joined`, `left` or `weight`."""


class FlowChangeView(TypedDict):
    """The last change of the group's members since routerd started."""

    seconds: float
    """Since then."""
    members: list[ChangedMemberView]
    """Empty if the group was made then."""
    cause: dict[str, str]
    """The event that came with it, with its time and fields, such as `peer down`; empty if none is kept."""


class FlowPathView(TypedDict):
    """A path to the route's prefix that leads to a node."""

    peer: str
    name: str
    next_hop: str
    as_path: str
    since_seconds: float
    stale: bool


class FlowPartnerView(TypedDict):
    """Where a flow would go if it came by the other router of the pair."""

    router: str
    gateway: str
    """Of the node; empty if it is not known."""
    peers: list[str]
    same: bool | None
    """Whether it is the same node; None if that cannot be told beyond doubt."""
    doubts: list[str]
    """Why not, a sentence each."""


class FlowAnswerView(TypedDict):
    """`GET /v1/flow`: which node a flow reaches now."""

    flow: FlowView
    found: str
    """`node`, or why there is none: `local` (the router itself), `no route`, `not ours`, `unknown`."""
    certain: bool
    """Whether packets of the flow go where `node` says, beyond doubt."""
    doubts: list[str]
    """What the kernel cannot tell, a sentence each."""
    node: GroupMemberView | None
    hash_policy: str
    """As `[fib] hash_policy`, or the kernel's number."""
    route: FlowRouteView | None
    group_type: str
    """`resilient`, `hash-threshold`, or empty."""
    bucket: FlowBucketView | None
    members: list[FlowMemberView]
    paths: list[FlowPathView]
    """Of the node, or of all members where it is not known."""
    changed: FlowChangeView | None
    """None if the group did not change since routerd started."""
    partner: FlowPartnerView | None
    """None without a pair, or if the node is not known."""


class DifferenceView(TypedDict):
    """Something that the kernel has otherwise than wanted."""

    kind: str
    """`route`, `nexthop` or `group`."""
    name: str
    """The prefix or the id."""
    wanted: str
    kernel: str
    """Empty where there is nothing."""
    why: str
    """Why it is not mended, as far as it is known; may be empty."""


class DifferencesView(TypedDict):
    """`GET /v1/fib`: the kernel, read now, against what is wanted."""

    same: bool
    routes: int
    nexthops: int
    groups: int
    """As many as are wanted."""
    unwritten: int
    """What waited to be written when the kernel was read: it is not counted as a difference."""
    total: int
    """Of the differences."""
    differences: list[DifferenceView]
    """As many as were asked for: nexthops, groups, then routes in the order of their addresses."""


class TrafficNodeView(TypedDict):
    """A node, of all groups together."""

    name: str
    """Of its peers; its gateway where nobody leads there."""
    gateways: list[str]
    packets_per_second: float


class TrafficMemberView(TypedDict):
    """A node's part of a group."""

    name: str
    gateway: str
    packets_per_second: float


class TrafficGroupView(TypedDict):
    """A group that carries packets."""

    id: int
    prefixes: list[str]
    """The first of them."""
    prefixes_total: int
    packets_per_second: float
    counted: bool
    """False where the kernel does not count: in groups of one member."""
    members: list[TrafficMemberView]


class TrafficView(TypedDict):
    """`GET /v1/traffic`: packets by node and group, from the kernel's group statistics."""

    seconds: float
    """Over which they were counted."""
    packets_per_second: float
    nodes: list[TrafficNodeView]
    """The busiest first; as many as were asked for."""
    nodes_total: int
    groups: list[TrafficGroupView]
    """The busiest first; as many as were asked for."""
    groups_total: int
    uncounted: int
    """Groups of one member, whose packets the kernel does not count."""
