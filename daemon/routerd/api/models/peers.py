"""Peers, and what operators ask of them."""

from __future__ import annotations

from typing import TypedDict


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
