"""Whether all is well."""

from __future__ import annotations

from typing import TypedDict

from routerd.api.models.carrying import OrderedView
from routerd.api.models.groups import GroupView
from routerd.api.models.peers import DropView, PeerView, RefusalView, ShutdownView


class SpeakerView(TypedDict):
    """The ExaBGP child."""

    running: bool
    pid: int | None
    restarts: int
    reason: str
    """Why it is not running, or why it last ended; empty if it never did."""


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


class PairStateView(TypedDict):
    """The other router of a pair, in short; `GET /v1/pair` has all."""

    partner: str
    up: bool
    """Whether the two hear each other."""
    since_seconds: float
    reason: str
    """Why they do not; empty if they do."""
    leads: bool
    """Whether this router decides which buckets move."""
    agrees: bool
    """Whether all groups lead to the same nodes on both, as far as is known."""
    groups: dict[str, int]
    """How many there are, by state: `equal`, `differs`, `other nodes`, `only here`, `only there`, `other size`,
    `not told`."""


class StatusView(TypedDict):
    """`GET /v1/status`: the one screen that answers "is all well?"."""

    version: str
    router_id: str
    asn: int
    uptime_seconds: float
    ok: bool
    speaker: SpeakerView
    peers: list[PeerView]
    drained: OrderedView | None
    """By whom the router itself is drained, if it is."""
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
    pair: PairStateView | None
    """None if no `[pair]` is configured."""
