"""Routes and their paths."""

from __future__ import annotations

from typing import TypedDict

from routerd.api.models.groups import GroupMemberView


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
    link_bandwidth: float | None
    """Octets per second that the peer says lead to the next hop (RFC 10005); null if it says nothing."""
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
    balanced_in_seconds: float | None
    """Until all members have their weights; None if they have them."""
    unbalanced: str
    """Why a member has fewer buckets than its share; empty if none has."""
    in_fib: bool
    refused: str
    kernel: KernelRouteView


class RoutesView(TypedDict):
    """A page of routes; `total` counts all that match."""

    total: int
    routes: list[RouteView]
