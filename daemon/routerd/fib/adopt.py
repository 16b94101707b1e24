"""Reconciling: the model becomes what a dump of the kernel shows, and then what is wanted is planned anew.

The same at start, when everything is adopted, and later, when a dump shows what somebody else changed.
"""

from __future__ import annotations

from dataclasses import dataclass

from routerd.fib.fib import Fib
from routerd.fib.model import Group, Members
from routerd.message import (
    DeleteNexthop,
    Gateway,
    KernelDump,
    KernelGroup,
    Operation,
)
from routerd.route import Address, Prefix

RTPROT_BGP = 186

ALIEN = Gateway(Address(b""), 0)
"""Stands for a member that the model cannot say: a foreign nexthop, a weight, a group that is not routerd's.
No gateway that the RIB wants equals it, so that whatever has it is replaced or left."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """What a dump showed. `drift` says, a line each, where the kernel differed from the model; `operations`
    remove what is routerd's and of no use."""

    drift: list[str]
    operations: list[Operation]


def adopt(fib: Fib, dump: KernelDump, *, awaiting: bool) -> Adoption:
    """Make the model what the dump shows. The caller says afterwards what it wants for every prefix.

    With `awaiting` (the first dump after a start) the groups found stay as they are until `Fib.settle` was
    called for all their members: their nodes announce again one after the other, and no flow shall suffer.
    """
    drift: list[str] = []
    fib.ids.reserve(nexthop.id for nexthop in dump.nexthops)
    fib.ids.reserve(group.id for group in dump.groups)
    surplus = _adopt_nexthops(fib, dump, drift)
    groups = _adopt_groups(fib, dump, drift, awaiting=awaiting)
    _adopt_routes(fib, dump, groups, drift)
    operations: list[Operation] = []
    for group, kernel in groups:
        if group.adapted and group.live and fib.shape.timers_differ(kernel):
            operations.append(fib.set_group(group))
    operations += [DeleteNexthop(id) for id in surplus]
    for id in surplus:
        fib.ids.free(id)
    return Adoption(drift, operations)


def _adopt_nexthops(fib: Fib, dump: KernelDump, drift: list[str]) -> list[int]:
    """Take over routerd's nexthop objects; return the ids of those that are of no use."""
    found: dict[Gateway, int] = {}
    surplus: list[int] = []
    for nexthop in dump.nexthops:
        if nexthop.protocol != RTPROT_BGP:
            continue
        if nexthop.gateway is None or nexthop.gateway in found:
            surplus.append(nexthop.id)
        else:
            found[nexthop.gateway] = nexthop.id
    drift += [f"nexthop {id} is missing" for gateway, id in fib.nexthops.items() if found.get(gateway) != id]
    drift += [f"nexthop {id} is unknown" for gateway, id in found.items() if fib.nexthops.get(gateway) != id]
    fib.nexthops = found
    return surplus


def _adopt_groups(fib: Fib, dump: KernelDump, drift: list[str], *, awaiting: bool) -> list[tuple[Group, KernelGroup]]:
    gateways = {id: gateway for gateway, id in fib.nexthops.items()}
    kernel = {group.id: group for group in dump.groups if group.protocol == RTPROT_BGP}
    for group in list(fib.groups.values()):
        fib.unindex(group)
        if group.id not in kernel and group.live:
            drift.append(f"group {group.id} is missing")
    known, fib.groups = fib.groups, {}
    adopted: list[tuple[Group, KernelGroup]] = []
    for id, found in kernel.items():
        live = _members(found, gateways)
        before = known.get(id)
        if before is None:
            drift.append(f"group {id} is unknown")
        elif before.live != live:
            drift.append(f"group {id} has other members")
        group = before or Group(id, live, live)
        if before is None and awaiting:
            group.awaiting = set(live) - {ALIEN}
        group.live, group.adapted, group.users = live, fib.shape.fits(found), 0
        # What a group has in the kernel is what it is for; the plan that follows gives it what it should have.
        group.members = live
        fib.groups[id] = group
        fib.index(group)
        adopted.append((group, found))
    return adopted


def _members(group: KernelGroup, gateways: dict[int, Gateway]) -> Members:
    """The gateways of a group in the model's order."""
    if any(member.id not in gateways or member.weight != 1 for member in group.members):
        return (ALIEN,)
    return tuple(sorted((gateways[m.id] for m in group.members), key=lambda g: (g.address, g.ifindex)))


def _adopt_routes(fib: Fib, dump: KernelDump, adopted: list[tuple[Group, KernelGroup]], drift: list[str]) -> None:
    groups = {group.id: group for group, _ in adopted}
    expected = {prefix: group.id for prefix, group in fib.routes.items() if group.live or group.id in groups}
    missing = [p for p in expected if p not in dump.routes]
    wrong = [p for p, id in dump.routes.items() if expected.get(p, id) != id]
    unknown = [p for p in dump.routes if p not in expected]
    for what, prefixes in (("missing", missing), ("wrong", wrong), ("unknown", unknown)):
        if prefixes:
            drift.append(f"{len(prefixes)} routes are {what}")
    routes: dict[Prefix, Group] = {}
    strangers: dict[int, Group] = {}
    for prefix, id in dump.routes.items():
        group = groups.get(id) or strangers.setdefault(id, Group(id, (ALIEN,), (ALIEN,), adapted=False))
        group.users += 1
        routes[prefix] = group
    fib.routes = routes
