"""Adoption: at start, the model becomes what the dump of the kernel shows, under the ids that are there."""

from __future__ import annotations

from routerd.core.fib.fib import Fib
from routerd.core.fib.model import Group, Legs
from routerd.core.fib.settling import Why
from routerd.core.message import RTPROT_BGP, DeleteNexthop, Gateway, KernelDump, KernelGroup, KernelNexthop, Operation
from routerd.core.route import Address, Prefix
from routerd.core.wanted import Wanted

ALIEN = Gateway(Address(b""), 0)
"""Stands for a member that the model cannot say: a foreign nexthop, or a group that is not routerd's. No gateway
that the RIB wants equals it, so that whatever has it is replaced or left."""


def adopt(fib: Fib, dump: KernelDump, now: float) -> list[Operation]:
    """Take over what the kernel has; return operations that remove what is of no use. The caller says afterwards
    what it wants for every prefix.

    The groups found keep their members until `Awaiting.end` was called for all of them: their nodes announce
    again one after the other, and no flow shall suffer from that. So they do their weights: of a hash-threshold group
    those are what is wanted, of buckets they may be a layout's.
    """
    fib.groups.ids.reserve(nexthop.id for nexthop in dump.nexthops)
    fib.groups.ids.reserve(group.id for group in dump.groups)
    found, surplus = own_nexthops(dump.nexthops, fib.groups.ids.own)
    fib.groups.nexthops = found
    gateways = {id: gateway for gateway, id in found.items()}
    for kernel in own_groups(dump.groups, fib.groups.ids.own).values():
        legs = in_model_order(legs_of(kernel, gateways))
        weights = () if kernel.buckets or len(set(legs.values())) == 1 else tuple(legs.values())
        group = Group(kernel.id, Wanted(tuple(legs), weights=weights), kernel.buckets)
        group.legs, group.written = legs, True
        group.adapted = fib.groups.shape.fits(kernel.buckets)
        fib.awaiting.adopt(group)
        if group.adapted and group.buckets and (timers_differ(fib, kernel) or set(legs.values()) != {1}):
            fib.groups.settling.begin(group, now + fib.groups.shape.idle_timer, Why.TAKEN_OVER, legs)
    fib.routes.update(_routes(fib, dump.routes))
    for group in fib.groups:
        group.shared = group.adapted and (len(group.prefixes) > 1 or not group.buckets)
        if group.shared:
            fib.groups.share(group)
    used = set(dump.routes.values())
    for gateway in [gateway for gateway, id in found.items() if not fib.groups.having(gateway) and id not in used]:
        surplus.append(found.pop(gateway))
    for id in surplus:
        fib.groups.ids.free(id)
    return [DeleteNexthop(id) for id in surplus]


def own_nexthops(nexthops: tuple[KernelNexthop, ...], ids: range) -> tuple[dict[Gateway, int], list[int]]:
    """Return routerd's nexthop objects by gateway, and the ids of those that are of no use. They have protocol bgp
    and one of these ids."""
    found: dict[Gateway, int] = {}
    surplus: list[int] = []
    for nexthop in nexthops:
        if nexthop.protocol == RTPROT_BGP and nexthop.id in ids:
            if nexthop.gateway is None or nexthop.gateway in found:
                surplus.append(nexthop.id)
            else:
                found[nexthop.gateway] = nexthop.id
    return found, surplus


def own_groups(groups: tuple[KernelGroup, ...], ids: range) -> dict[int, KernelGroup]:
    """Return routerd's groups by id: those of protocol bgp that have one of these ids."""
    return {group.id: group for group in groups if group.protocol == RTPROT_BGP and group.id in ids}


def legs_of(group: KernelGroup, gateways: dict[int, Gateway]) -> Legs:
    """Return the legs of a group in the kernel; `gateways` are those of nexthop objects."""
    return {gateways.get(member.id, ALIEN): member.weight for member in group.members}


def in_model_order(legs: Legs) -> Legs:
    """Return legs in the model's order."""
    return dict(sorted(legs.items(), key=lambda leg: (leg[0].address, leg[0].ifindex)))


def timers_differ(fib: Fib, group: KernelGroup) -> bool:
    """Tell whether the kernel reads back other timers than those wanted; it keeps 1/100 s, less a tick perhaps."""
    shape = fib.groups.shape
    differences = (group.idle_timer - shape.idle_timer, group.unbalanced_timer - shape.unbalanced_timer)
    return any(abs(difference) > 0.02 for difference in differences)


def stranger(id: int) -> Group:
    """Return a group for routes of routerd's that point at something else: it is left, never written."""
    group = Group(id, Wanted((ALIEN,)), 0)
    group.legs = {ALIEN: 1}
    group.adapted = False
    return group


def _routes(fib: Fib, routes: dict[Prefix, int]) -> dict[Prefix, Group]:
    strangers: dict[int, Group] = {}
    result: dict[Prefix, Group] = {}
    for prefix, id in routes.items():
        group = fib.groups.by_id.get(id)
        if group is None:
            group = strangers.get(id) or strangers.setdefault(id, stranger(id))
        group.prefixes[prefix] = None
        result[prefix] = group
    return result
