"""Whether traffic shall come to this router: its health, and its own drain."""

from __future__ import annotations

from typing import TypedDict


class HealthView(TypedDict):
    """`GET /v1/health`: whether this router can carry traffic."""

    ok: bool
    reason: str
    """Why not; empty if it can."""
    nodes: int
    """Nodes that the groups in the kernel lead to; one with addresses of both families is one node."""
    at_least: int
    """How many there must be."""
    drained: bool
    """The operator drains this router."""


class OrderedView(TypedDict):
    """Who has drained this router, and when."""

    by: str
    time: float
    """In seconds since 1970."""


class RouterDrainView(TypedDict):
    """`GET /v1/drain`: the drain of this router itself."""

    drain: OrderedView | None
    """None if it is not drained."""
    peers: int
    """Peers with a session that are told routes: with GRACEFUL_SHUTDOWN while it is drained (RFC 8326)."""
    telling: bool
    """Some of them are still to be told, in slices."""
    changed: bool
    """This request began or ended the drain; false if there was nothing to do, or if it only asked."""
    unstored: str
    """Why it is not kept over a restart of routerd; empty if it is."""
