"""Foreign routes that the kernel prefers to routerd's: the VIP is in the FIB, and its traffic goes elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from routerd.api.models import ProblemView
from routerd.core.message import PROTOCOLS, ROUTE_TYPES, ForeignRoute
from routerd.core.route import format_address, format_prefix
from routerd.core.router import Router

_SHOWN = 5


def shadowed(router: Router) -> Iterator[ProblemView]:
    """Yield the foreign routes of a lower metric than routerd's to the same prefix."""
    foreign, metric = router.rib.nexthops.foreign.routes, router.config.fib.metric
    found = [
        (prefix, foreign[prefix][0])
        for prefix in router.fib.routes.keys() & foreign.keys()
        if foreign[prefix][0].metric < metric
    ]
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
