"""What the kernel prefers to routerd's routes: the VIP is in the FIB, and its traffic goes elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from errno import EACCES, EHOSTUNREACH, EINVAL, ENETUNREACH
from itertools import islice

from routerd.api.models import ProblemView
from routerd.api.slices import Slices
from routerd.api.views.problems.first import first
from routerd.core.fib.model import Group
from routerd.core.message import PROTOCOLS, ROUTE_TYPES, Diversion, ForeignRoute
from routerd.core.rib.foreign import network_of
from routerd.core.route import IPV4_PREFIX_SIZE, IPV6_PREFIX_SIZE, Address, Prefix, format_address, format_prefix
from routerd.core.router import Router

_SAMPLES = 32
"""Routes of each family that the kernel is asked about: a rule concerns all, or a range of them."""
_LOOKED_THROUGH = 2048
_FOREIGN = 1024
"""Foreign routes that are compared with wider ones of routerd's; not more, as those of an internet table."""
_RTPROT_KERNEL = 2
_TABLES = {253: "default", 254: "main", 255: "local"}
_FAILURES = {
    EINVAL: "a blackhole",
    EHOSTUNREACH: "an unreachable route",
    EACCES: "a prohibit route",
    ENETUNREACH: "no route",
}
"""How the kernel's lookup fails, and what it has come upon."""
_AT_ONCE = 8192
"""Prefixes that are looked at between two interruptions."""

Inside = dict[Prefix, list[tuple[Prefix, ForeignRoute]]]
"""Foreign routes by the wider one of routerd's that they lie in."""
Diversions = Callable[[list[tuple[Prefix, int]]], Iterable[Diversion]]
"""Finds out which of these routes, each with its nexthop id, the kernel passes by."""


def shadowed(router: Router) -> Slices[list[ProblemView]]:
    """Return the foreign routes of a lower metric than routerd's to the same prefix."""
    own, foreign = router.fib.routes, router.rib.nexthops.foreign.routes
    few, many = (own, foreign) if len(own) < len(foreign) else (foreign, own)
    prefixes = list(few)
    found: list[tuple[Prefix, ForeignRoute]] = []
    for start in range(0, len(prefixes), _AT_ONCE):
        yield
        both = (prefix for prefix in prefixes[start : start + _AT_ONCE] if prefix in many)
        found += [(prefix, route) for prefix in both if (route := _shadow(router, prefix)) is not None]

    def tell(pair: tuple[Prefix, ForeignRoute]) -> ProblemView:
        prefix, route = pair
        return ProblemView(
            where=f"route {format_prefix(prefix)}",
            what=f"a foreign route shadows it: {_describe(router, route)}",
            remedy=f"ip route del {format_prefix(prefix)} metric {route.metric}, or a lower [fib] metric than that",
        )

    more = "routes are shadowed by foreign ones of a lower metric"
    remedy = "ip route show; another daemon may have the same prefixes"
    return list(first(sorted(found), tell, where="fib", more=more, remedy=remedy))


def hollowed(router: Router, inside: Inside) -> Iterator[ProblemView]:
    """Yield the foreign routes inside of wider ones of routerd's, such as a node's PodCIDR."""
    found = [(wider, prefix, route) for wider, some in inside.items() for prefix, route in some]

    def tell(each: tuple[Prefix, Prefix, ForeignRoute]) -> ProblemView:
        wider, prefix, route = each
        return ProblemView(
            where=f"route {format_prefix(wider)}",
            what=f"a more specific foreign route takes a part of it: {format_prefix(prefix)}, "
            f"{_describe(router, route)}",
            remedy=f"ip route del {format_prefix(prefix)} metric {route.metric}, unless it is meant so",
        )

    more = "foreign routes take parts of wider ones of routerd's"
    yield from first(sorted(found), tell, where="fib", more=more, remedy="ip route show")


def inside(router: Router) -> Slices[Inside]:
    """Return foreign routes by the wider one of routerd's; networks of the router's own do not count."""
    foreign, routes = router.rib.nexthops.foreign.routes, router.fib.routes
    found: Inside = {}
    if len(foreign) > _FOREIGN:
        return found
    lengths = {(len(prefix), prefix[0]) for prefix in islice(routes, _LOOKED_THROUGH)}
    for prefix, some in list(foreign.items()):
        yield
        for size, bits in lengths if some[0].protocol != _RTPROT_KERNEL else ():
            if size == len(prefix) and bits < prefix[0]:
                wider = network_of(Address(prefix[1:]), bits)
                if wider in routes and routes[wider].legs:
                    found.setdefault(wider, []).append((prefix, some[0]))
    return found


def _shadow(router: Router, prefix: Prefix) -> ForeignRoute | None:
    """Return the foreign route to the same prefix that the kernel prefers, if there is one."""
    routes = router.rib.nexthops.foreign.routes.get(prefix)
    return routes[0] if routes and routes[0].metric < router.config.fib.metric else None


def _describe(router: Router, route: ForeignRoute) -> str:
    protocol = PROTOCOLS.get(route.protocol, str(route.protocol))
    kind = ROUTE_TYPES.get(route.kind, f"type {route.kind}")
    said = [f"protocol {protocol}", f"metric {route.metric}"]
    for leg in router.rib.nexthops.foreign.legs(route):
        if leg.gateway is not None:
            said.append(f"via {format_address(leg.gateway)}")
        elif route.kind == 1:
            interface = router.rib.nexthops.interfaces.get(leg.ifindex)
            said.append(f"dev {leg.ifindex if interface is None else interface.name}")
    return ", ".join(said if route.kind == 1 else [kind, *said])


def samples(router: Router, inside: Inside) -> list[tuple[Prefix, int]]:
    """Return some of the routes that the kernel should have and use, each with its nexthop id; none with a node that
    gets no new flow, for whose buckets to fall idle somebody waits."""
    unused = router.fib.refused.keys() | inside.keys()
    some = [*islice(router.fib.routes.items(), _LOOKED_THROUGH)]
    draining = router.fib.groups.draining

    def going(group: Group) -> bool:
        return not group.legs.keys().isdisjoint(draining | group.wanted.light)

    found: list[tuple[Prefix, int]] = []
    for size in (IPV4_PREFIX_SIZE, IPV6_PREFIX_SIZE):
        led = ((p, group) for p, group in some if len(p) == size and group.legs and p not in unused)
        there = ((p, group.id) for p, group in led if not going(group))
        found += islice((each for each in there if _shadow(router, each[0]) is None), _SAMPLES)
    return found


def diverted(found: Iterable[Diversion]) -> Iterator[ProblemView]:
    """Yield the routes that the kernel passes by, because of rules or other tables."""

    def tell(each: Diversion) -> ProblemView:
        address = format_address(Address(each.prefix[1:]))
        end = f"another route, of table {_TABLES.get(each.table, each.table)}"
        if each.errno:
            end = _FAILURES.get(each.errno, f"errno {each.errno}")
        return ProblemView(
            where=f"route {format_prefix(each.prefix)}",
            what=f"the kernel passes it by: its lookup of {address} ends at {end}",
            remedy=f"ip route get {address}; ip rule show: is there a rule ahead of the one for table main, or that "
            "one gone?",
        )

    more = "routes are passed by, of those looked at"
    yield from first(list(found), tell, where="fib", more=more, remedy="ip rule show")
