"""Drift: what somebody else, or a link that went down, changed in the kernel, and the operations that mend it.

The model says what should be there, the ids included, and that is what comes back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from routerd.core.fib.adopt import in_model_order, legs_of, own_groups, own_nexthops, timers_differ
from routerd.core.fib.fib import Fib
from routerd.core.fib.model import Group
from routerd.core.message import (
    DeleteNexthop,
    DeleteRoutes,
    KernelObjects,
    NexthopChange,
    Operation,
    RouteAudit,
    RouteChange,
    SetNexthop,
    SetRoutes,
)
from routerd.core.route import Prefix

KINDS = (
    "nexthop_missing", "nexthop_unexpected", "group_resized", "group_members", "group_timers", "group_unexpected",
    "route_missing", "route_changed", "route_unexpected",
)  # fmt: skip


class Wrong(NamedTuple):
    """Something that was not as it should be: its kind, one of `KINDS`, a line for people, and how much of
    the kind that is: routes are told of together."""

    kind: str
    text: str
    size: int = 1


Mended = tuple[list[Wrong], list[Operation]]
"""What was wrong, and the operations that mend it."""


def mend_objects(fib: Fib, dump: KernelObjects, now: float) -> Mended:
    """Compare nexthop objects and groups with the kernel's."""
    groups = fib.groups
    groups.ids.reserve(nexthop.id for nexthop in dump.nexthops)
    groups.ids.reserve(group.id for group in dump.groups)
    wrong: list[Wrong] = []
    operations: list[Operation] = []
    found, surplus = own_nexthops(dump.nexthops, groups.ids.own)
    kernel = own_groups(dump.groups, groups.ids.own)
    lost = [gateway for gateway, id in groups.nexthops.items() if found.get(gateway) != id]
    expected = set(groups.nexthops.values())  # under these ids another nexthop may stand: it is replaced, not deleted
    surplus = [id for id in (*surplus, *found.values()) if id not in expected]
    unknown = [id for id in kernel if id not in groups.by_id]
    wrong += [
        Wrong("nexthop_missing", f"nexthop {groups.nexthops[gateway]} was missing, or led elsewhere")
        for gateway in lost
    ]
    wrong += [Wrong("nexthop_unexpected", f"nexthop {id} was not expected") for id in surplus]
    # The kernel makes no group of a nexthop, nor the contrary: what stands under an id of ours goes first.
    in_the_way = [id for id in (*unknown, *surplus) if id in expected or id in groups.by_id]
    operations += map(DeleteNexthop, in_the_way)
    gateways = {id: gateway for gateway, id in found.items()}
    retimed: dict[tuple[float, float], bool] = {}
    damaged: list[Group] = []
    for group in groups:
        there = kernel.get(group.id)
        legs = {} if there is None else legs_of(there, gateways)
        if there is not None and there.buckets != group.buckets:
            # The kernel changes neither type nor size: the group is made anew, and its routes come again.
            text = f"group {group.id} had {there.buckets} buckets instead of {group.buckets}"
            wrong.append(Wrong("group_resized", text))
            operations.append(DeleteNexthop(group.id))
            group.written = False
            groups.found(group, {})
            groups.changed[group] = True
        elif legs != group.legs and not (legs.keys() == group.legs.keys() and _is_held(fib, group)):
            text = f"group {group.id} had {len(legs)} of {len(group.legs)} members, or other ones"
            wrong.append(Wrong("group_members", text))
            groups.found(group, in_model_order(legs))
            damaged.append(group)
            groups.changed[group] = True
        elif there is not None:
            timers = there.idle_timer, there.unbalanced_timer
            if timers not in retimed:  # nearly all have the same
                retimed[timers] = timers_differ(fib, there)
            # Those of an adopted group change when it is balanced.
            if retimed[timers] and group.adapted and group not in groups.settling:
                text = f"group {group.id} had timers of {there.idle_timer:g} s and {there.unbalanced_timer:g} s"
                wrong.append(Wrong("group_timers", text))
                groups.changed[group] = True
    # The objects come back before the groups that want them; on a link that is down the kernel refuses, and what
    # the RIB wants then is about to change anyway.
    operations += [SetNexthop(groups.nexthops[gateway], gateway) for gateway in lost]
    for group in sorted(damaged, key=lambda group: group.users):  # what is soon done need not wait for tables
        operations += fib.rewritten(group, now, damaged=True)
    wrong += [Wrong("group_unexpected", f"group {id} was not expected") for id in unknown]
    for id in (*unknown, *surplus):
        if id not in in_the_way:
            groups.ids.free(id)
            operations.append(DeleteNexthop(id))
    return wrong, operations


def _is_held(fib: Fib, group: Group) -> bool:
    """Tell whether a group has the weights of its layout."""
    return group in fib.groups.settling or (fib.groups.paired and group.comparable)


def takes_own(fib: Fib, change: RouteChange, metric: int) -> bool:
    """Tell whether a change is about a route of routerd's: it bears its marks, or has overwritten one that does."""
    return change.own or (change.replaces and change.route.metric == metric and change.prefix in fib.routes)


def loses_own(fib: Fib, change: RouteChange, metric: int) -> bool:
    """Tell whether a change leaves no route of routerd's where there was one."""
    return takes_own(fib, change, metric) and (change.deleted or not change.own)


def mend_changes(fib: Fib, changes: Iterable[RouteChange | NexthopChange], metric: int) -> Mended:
    """Write again the routes that somebody has just deleted or overwritten: the kernel refuses where a foreign one
    stands now. What somebody added under routerd's marks is left to the audit."""
    ours = [c for c in changes if isinstance(c, RouteChange) and takes_own(fib, c, metric)]
    expected = {c.prefix: g.id for c in ours if (g := fib.routes.get(c.prefix)) is not None and g.legs}
    wrong = {
        c.prefix: c.route.nexthop
        for c in ours
        if not c.deleted and c.prefix in expected and (not c.own or expected[c.prefix] != c.route.nexthop)
    }
    missing = {c.prefix: None for c in ours if c.deleted and c.prefix in expected and c.prefix not in wrong}
    return mend_routes(fib, RouteAudit(expected, tuple(missing), wrong, {}, {}))


def mend_routes(fib: Fib, audit: RouteAudit) -> Mended:
    """Compare routes; what changed since the audit began was written by routerd, and is not drift."""

    def unchanged(prefix: Prefix) -> bool:
        group = fib.routes.get(prefix)
        now = group.id if group is not None and group.legs else None
        return now == audit.expected.get(prefix)

    missing = [prefix for prefix in audit.missing if unchanged(prefix)]
    wrong = [prefix for prefix in audit.wrong if unchanged(prefix)]
    unknown = [prefix for prefix in audit.unknown if unchanged(prefix)]
    found = [
        Wrong(kind, f"{len(prefixes)} routes were {what}", len(prefixes))
        for kind, what, prefixes in (
            ("route_missing", "missing", missing),
            ("route_changed", "changed", wrong),
            ("route_unexpected", "not expected", unknown),
        )
        if prefixes
    ]
    again: dict[Group, list[Prefix]] = {}
    for prefix in (*missing, *wrong):
        again.setdefault(fib.routes[prefix], []).append(prefix)
    operations: list[Operation] = [SetRoutes(group.id, tuple(prefixes)) for group, prefixes in again.items()]
    if unknown:
        operations.append(DeleteRoutes(tuple(unknown)))
    return found, operations
