"""Nexthop groups: who is in them, which buckets lead where, and what is not balanced, until when and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from itertools import islice

from routerd.api.models import GroupMemberView, GroupView
from routerd.api.slices import Slices
from routerd.core.fib.model import Group
from routerd.core.message import Gateway
from routerd.core.route import format_address, format_prefix
from routerd.core.router import Router

Counts = Callable[[int], Mapping[Gateway, int]]
"""How many buckets each gateway has in the group of an id, as last read from the kernel; nothing where none was."""

IN_USE = "flows use more buckets than the shares of their nodes; those move once they are idle"
UNREAD: Mapping[Gateway, int] = {}
_NAMED = 3
"""Prefixes of a group that are told."""


def unread(_: int) -> Mapping[Gateway, int]:
    """Tell of no group what buckets lead where."""
    return UNREAD


def groups(router: Router, now: float, counts: Counts = unread) -> Slices[list[GroupView]]:
    """Return routerd's nexthop groups, the most used first."""
    found: list[GroupView] = []
    for group in sorted(router.fib.groups, key=lambda group: (-group.users, group.id)):
        yield
        if group.legs:
            found.append(view(router, group, counts(group.id), now))
    return found


def first(group: Group) -> list[str]:
    """Return some of the prefixes of a group: the VIP that has it for itself."""
    return [format_prefix(prefix) for prefix in islice(group.prefixes, _NAMED)]


def view(router: Router, group: Group, counts: Mapping[Gateway, int], now: float) -> GroupView:
    """Return a group with its prefixes, its members and their buckets, and until when it is not balanced, and why."""
    settling = router.fib.groups.settling.get(group)
    return GroupView(
        id=group.id,
        type="resilient" if group.buckets else "hash-threshold",
        buckets=group.buckets,
        prefixes=group.users,
        first=first(group),
        balanced=settling is None,
        balanced_in_seconds=None if settling is None else max(0.0, settling.until - now),
        unbalanced=settling.why.value if settling is not None else IN_USE if _uneven(group, counts) else "",
        members=members(router, group, counts),
    )


def _uneven(group: Group, counts: Mapping[Gateway, int]) -> bool:
    """Tell whether a member has fewer buckets than its weight wants, a rounding apart."""
    if not counts or not counts.keys() <= group.legs.keys():
        return False  # not read yet, or read before the last change
    share = group.buckets / sum(group.legs.values())
    return any(counts.get(gateway, 0) < share * weight - 1 for gateway, weight in group.legs.items())


def members(router: Router, group: Group, counts: Mapping[Gateway, int] = UNREAD) -> list[GroupMemberView]:
    """Return the legs of a group, with the weights that they have once it is balanced."""
    return [
        GroupMemberView(
            nexthop_id=router.fib.groups.nexthops.get(gateway, 0),
            gateway=format_address(gateway.address) if gateway.address else "foreign",
            interface=router.rib.nexthops.name_of(gateway.ifindex),
            weight=weight,
            buckets=counts.get(gateway, 0) if counts else None,
            peers=[peer.name for peer in router.rib.leads.peers(gateway)],
        )
        for gateway, weight in group.legs.items()
    ]


def buckets(router: Router, counts: Counts) -> Slices[Counter[Gateway]]:
    """Return how many buckets lead to each gateway in all."""
    total: Counter[Gateway] = Counter()
    for group in list(router.fib.groups):
        yield
        total.update(counts(group.id))
    return total
