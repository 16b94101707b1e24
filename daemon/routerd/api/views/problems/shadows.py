"""Foreign routes that the kernel prefers to routerd's: the VIP is in the FIB, and its traffic goes elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from routerd.api.models import ProblemView
from routerd.api.slices import Slices
from routerd.core.message import PROTOCOLS, ROUTE_TYPES, ForeignRoute
from routerd.core.route import Prefix, format_address, format_prefix
from routerd.core.router import Router

_SHOWN = 5
_AT_ONCE = 8192


def shadowed(router: Router) -> Slices[list[ProblemView]]:
    """Return the foreign routes of a lower metric than routerd's to the same prefix."""
    foreign, metric = router.rib.nexthops.foreign.routes, router.config.fib.metric
    found: list[tuple[Prefix, ForeignRoute]] = []
    own = list(router.fib.routes)
    for start in range(0, len(own), _AT_ONCE):
        yield
        both = (prefix for prefix in own[start : start + _AT_ONCE] if prefix in foreign)
        found += [(prefix, foreign[prefix][0]) for prefix in both if foreign[prefix][0].metric < metric]
    return list(_described(router, found))


def _described(router: Router, found: list[tuple[Prefix, ForeignRoute]]) -> Iterator[ProblemView]:
    for prefix, route in sorted(found)[:_SHOWN]:
        yield ProblemView(
            where=f"route {format_prefix(prefix)}",
            what=f"a foreign route shadows it: {_describe(router, route)}",
            remedy=f"ip route del {format_prefix(prefix)} metric {route.metric}, or a lower [fib] metric than that",
        )
    if len(found) > _SHOWN:
        yield ProblemView(
            where="fib",
            what=f"{len(found) - _SHOWN} more routes are shadowed by foreign ones of a lower metric",
            remedy="ip route show; another daemon may have the same prefixes",
        )


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
