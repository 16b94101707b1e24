"""What the API answers and the CLI reads. Plain TypedDicts: a client needs no other part of routerd.

Times ending in `_seconds` are ages or durations in seconds. Addresses and prefixes are text.
"""

from __future__ import annotations

from typing import TypedDict


class SpeakerView(TypedDict):
    """The ExaBGP child."""

    running: bool
    pid: int | None
    restarts: int
    reason: str
    """Why it is not running, or why it last ended; empty if it never did."""


class FamilyCounts(TypedDict):
    """Prefixes of one peer in one family."""

    received: int
    accepted: int
    rejected: int
    in_fib: int
    stale: int
    advertised: int


class ShutdownView(TypedDict):
    """A peer that the operator has shut down: it gets no session."""

    name: str
    address: str
    by: str
    time: float
    """In seconds since 1970."""
    text: str
    """What the peer is told (RFC 9003), fit to be shown; may be empty."""


class PeerView(TypedDict):
    """A peer: configured, or dialled in from a range."""

    name: str
    address: str
    group: str
    asn: int | None
    """The AS that its OPEN said, or the configured one; None when neither is known."""
    router_id: str | None
    dynamic: bool
    state: str
    """`established`, or `waiting` (it has not dialled in, or is being dialled), or `stale` (gone, its paths kept for
    graceful restart), or `shutdown` (by the operator of this router)."""
    reason: str
    """Why it is not established, or what is wrong with it, such as "(no accept policy)"; may be empty."""
    since_seconds: float
    sessions: int
    hold_time: int | None
    families: list[str]
    totals: FamilyCounts
    by_family: dict[str, FamilyCounts]
    rejected_by_reason: dict[str, int]
    faults: int
    """Malformed UPDATEs received (RFC 7606)."""
    silent: bool
    """Its link layer does not answer, so that it is out of the FIB."""
    drain: str
    """`operator` if that drains it, so that it gets no new flows; or empty."""
    leaving: int
    """Prefixes that it drains itself: it announces them with GRACEFUL_SHUTDOWN (RFC 8326)."""
    buckets: int
    """Hash buckets that lead to it, of all groups."""
    shutdown: ShutdownView | None


class GroupMemberView(TypedDict):
    """A leg of a nexthop group."""

    nexthop_id: int
    gateway: str
    interface: str
    weight: int
    buckets: int | None
    """As many as lead to it in the kernel, read a second ago or two; None where that is not known."""
    peers: list[str]


class GroupView(TypedDict):
    """A nexthop group of routerd's in the kernel."""

    id: int
    type: str
    """`resilient` or `hash-threshold`."""
    buckets: int
    prefixes: int
    balanced: bool
    """Whether the members have their weights; until then those that have just joined get no bucket."""
    balanced_in_seconds: float | None
    """Until then; None if they have them."""
    unbalanced: str
    """Why a member has fewer buckets than its share; empty if none has."""
    members: list[GroupMemberView]


class SysctlView(TypedDict):
    """A kernel setting that forwarding needs."""

    name: str
    wanted: str
    found: str
    """What it was when routerd first looked."""
    current: str
    ok: bool
    remedy: str
    """The command that sets it, when routerd could not; else empty."""


class ProblemView(TypedDict):
    """Something that is wrong, and what to do about it."""

    where: str
    what: str
    remedy: str


class ForeignBgpView(TypedDict):
    """What the kernel has of protocol bgp that is not routerd's, as of the last audit: it is left alone."""

    routes: int
    nexthops: int
    """Nexthop objects and groups."""
    first: list[str]
    """The prefixes of some of the routes."""


class RefusalView(TypedDict):
    """Attempts of an address at a session that ended alike, without one."""

    address: str
    reason: str
    """Why the latest one ended."""
    notification: str
    """What was said, such as `2/2 sent` or `6/3 received`; empty if nothing was."""
    count: int
    first_seconds: float
    last_seconds: float


class DropView(TypedDict):
    """TCP segments that the kernel of this network namespace dropped, with nobody's name on them."""

    counter: str
    """As in `nstat`: TCPMD5NotFound, TCPMD5Unexpected, TCPMD5Failure, TCPMinTTLDrop."""
    count: int
    """Since routerd started."""
    last_seconds: float


class FibView(TypedDict):
    """The kernel's side in numbers."""

    synchronised: bool
    routes: int
    nexthops: int
    groups: int
    buckets: int
    """Of all groups together; `bucket_budget` is what they should not exceed."""
    bucket_budget: int
    small_groups: int
    """Groups that got fewer buckets than `[fib] buckets` says, for the budget's sake."""
    unwritten: int
    """Routes, and other operations, that are decided and wait to be written."""
    refused: int
    """Writes that the kernel refuses now."""
    drift_mended: int
    foreign_bgp: ForeignBgpView


class EventLoopView(TypedDict):
    """Since the start, how long the daemon did one thing at a stretch, which all else had to wait for: `counts` by
    the `bounds` in seconds that they do not exceed, the last one what exceeds all."""

    bounds: list[float]
    counts: list[int]
    longest_seconds: float


class StatusView(TypedDict):
    """`GET /v1/status`: the one screen that answers "is all well?"."""

    version: str
    router_id: str
    asn: int
    uptime_seconds: float
    ok: bool
    speaker: SpeakerView
    peers: list[PeerView]
    shutdowns: list[ShutdownView]
    """Of peers that are not shown, too."""
    prefixes: int
    paths: int
    fib: FibView
    groups: list[GroupView]
    sysctls: list[SysctlView]
    problems: list[ProblemView]
    refusals: list[RefusalView]
    drops: list[DropView]
    event_loop: EventLoopView


class DrainView(TypedDict):
    """`GET /v1/peers/{name}/drain`: how far a drain has come."""

    name: str
    drain: str
    """As in PeerView."""
    buckets: int
    """Hash buckets that still lead to the node, because flows use them."""
    groups: int
    """Nexthop groups that it is a member of."""
    sole: int
    """Prefixes that have no other next hop; their flows cannot be moved."""
    empty: bool
    """Drained, and no flow is left: the node can be shut down."""
    changed: bool
    """This request began or ended the drain; false if there was nothing to do, or if it only asked."""
    unstored: str
    """Why the drains are not kept over a restart of routerd; empty if they are."""


class LogView(TypedDict):
    """The log, as it is now."""

    level: str
    """The least level that it has: debug, info, warning or error."""
    changed: bool
    """False if there was nothing to do."""


class OrderView(TypedDict):
    """What became of a `shutdown` or `enable`."""

    name: str
    address: str
    changed: bool
    """False if there was nothing to do."""
    ended: bool
    """The peer had a session."""
    shutdown: ShutdownView | None
    """As it is now."""
    unstored: str
    """Why the shutdowns are not kept over a restart of routerd; empty if they are."""


class ClearView(TypedDict):
    """What became of a `clear`."""

    name: str
    address: str
    soft: str
    """`in`, `out`, or empty if the session was to be reset."""
    session: bool
    """The peer had one; nothing was done otherwise, unless it is `dialled`."""
    dialled: bool
    """It had none, and the router dials it at once."""
    refreshed: bool
    """The peer was asked to announce all again (ROUTE-REFRESH)."""
    stale_seconds: float
    """How long what it announced stays at most while it is away."""


class PathView(TypedDict):
    """One path to a prefix."""

    peer: str
    name: str
    next_hop: str
    interface: str
    as_path: str
    origin: str
    med: int | None
    local_pref: int | None
    communities: list[str]
    stale: bool
    best: bool
    multipath: bool
    lost_at: str
    """The decision step that it lost at, such as "3 AS_PATH length"; why it was rejected; empty for winners."""


class KernelRouteView(TypedDict):
    """What the kernel has for a prefix, asked for at the time of the request."""

    present: bool
    protocol: str
    metric: int | None
    nexthop_id: int | None
    members: list[GroupMemberView]


class RouteView(TypedDict):
    """`GET /v1/routes`: a row a prefix."""

    prefix: str
    local: bool
    """The router's own: its route is not routerd's."""
    group_id: int | None
    in_fib: bool
    paths: int
    next_hops: list[str]
    best_peer: str


class RouteDetailView(TypedDict):
    """`GET /v1/routes/{prefix}`: everything about one prefix."""

    prefix: str
    paths: list[PathView]
    group_id: int | None
    members: list[GroupMemberView]
    in_fib: bool
    refused: str
    kernel: KernelRouteView


class RoutesView(TypedDict):
    """A page of routes; `total` counts all that match."""

    total: int
    routes: list[RouteView]


class EventView(TypedDict):
    """One event; what it is about stands in fields of its own beside these."""

    boot: str
    """The run of the daemon that told it: numbers of another run mean nothing."""
    sequence: int
    time: str
    """RFC 3339, in UTC."""
    level: str
    event: str


class VersionView(TypedDict):
    """`GET /v1/version`."""

    routerd: str
    exabgp: str
    python: str
    kernel: str


class ChangeView(TypedDict):
    """A key of the configuration that differs; a peer is named by its address, a range by its prefix."""

    key: str
    before: str
    after: str
    """As the file has it, more or less; empty where there is nothing. A password is hidden."""
    impact: str
    """`live`, `session reset` or `restart`."""
    why: str
    """The reason, or what else the change does; may be empty."""


class ResetView(TypedDict):
    """A session that is reset by a change."""

    peer: str
    keys: list[str]
    """Those that are the reason; `peers` if the peer does not belong to the configuration any more."""


class JudgedPathView(TypedDict):
    """A path that is judged otherwise."""

    prefix: str
    peer: str


class JudgedView(TypedDict):
    """Paths that are judged otherwise, by the verdicts before and after: `accepted`, or why they are not."""

    before: str
    after: str
    count: int
    first: list[JudgedPathView]


class ChangedRouteView(TypedDict):
    """A route that changes: the next hops that it has and will have."""

    prefix: str
    before: list[str]
    after: list[str]


class ChangedRoutesView(TypedDict):
    """Routes that change."""

    fate: str
    """`comes`, `goes`, or `moves`: to other next hops."""
    count: int
    first: list[ChangedRouteView]


class ChangedGroupView(TypedDict):
    """A nexthop group whose prefixes, or some of them, get other members: each gateway with its weight."""

    id: int
    prefixes: int
    before: dict[str, int]
    after: dict[str, int]
    """Empty if the prefixes lose their routes."""
    anew: bool
    """Whether a new group takes over none of the buckets."""


class ChangedGroupsView(TypedDict):
    """How many nexthop groups change members or weights, are made anew, or lose routes."""

    changed: int
    anew: int
    emptied: int
    first: list[ChangedGroupView]


class UnseenView(TypedDict):
    """Groups of which the kernel cannot tell how many flows move."""

    why: str
    groups: int


class MovedBucketsView(TypedDict):
    """Buckets with flows: those that go to another node, or to none, of those of the groups that were looked into."""

    moving: int
    busy: int
    groups: int
    unread: int
    """Groups for which there was no time."""
    unseen: list[UnseenView]


class ToldView(TypedDict):
    """Prefixes of which peers of a group are told something else: those that do not announce them themselves."""

    peer_group: str
    """The one that they will be in."""
    peers: int
    what: str
    """`announced`, `withdrawn`, or `changed`: other attributes."""
    count: int
    first: list[str]


class ForecastView(TypedDict):
    """What a change does to routes and flows, by a dry run on what the router has."""

    paths: list[JudgedView]
    unnamed: int
    """Rejected paths that are not known by name: their nodes are asked to announce them again."""
    unasked: int
    """Such paths of nodes that cannot be asked (no ROUTE-REFRESH): they stay rejected until announced again."""
    routes: list[ChangedRoutesView]
    routes_now: int
    told: list[ToldView]
    groups: ChangedGroupsView
    buckets: MovedBucketsView


class ReloadView(TypedDict):
    """What a change of the configuration does."""

    files: list[str]
    applied: bool
    """False if it was only asked what would change."""
    changes: list[ChangeView]
    resets: list[ResetView]
    forecast: ForecastView | None
    """None if nothing changes, if it is not known (`unforeseen`), or if the change was taken back."""
    unforeseen: str
    """Why what a change does is not known; empty if it is."""
    confirm_seconds: float | None
    """When the running configuration is taken back unless it is confirmed; None if it is to stay."""


class CheckView(TypedDict):
    """A file that routerd would start with, and what is doubtful about it here and now."""

    warnings: list[str]
    """A line each, with its place in the file."""


class HistoryView(TypedDict):
    """A configuration that ran."""

    number: int
    time: float
    """In seconds since 1970."""
    by: str
    confirmed: bool
    changes: list[ChangeView]
    """Its differences to the one before, if that is kept and can still be read."""
