"""Nexthop groups."""

from __future__ import annotations

from typing import TypedDict


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
    first: list[str]
    """Some of them: the VIP, where it has the group for itself."""
    balanced: bool
    """Whether the members have their weights; until then those that have just joined get no bucket."""
    balanced_in_seconds: float | None
    """Until then; None if they have them."""
    unbalanced: str
    """Why a member has fewer buckets than its share; empty if none has."""
    members: list[GroupMemberView]
