"""What a change of the configuration does to routes and flows."""

from __future__ import annotations

from typing import TypedDict


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
