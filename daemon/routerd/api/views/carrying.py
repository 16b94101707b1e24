"""Whether traffic shall come to this router. Pure, and cheap: others ask every second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from routerd.api.models import HealthView, OrderedView, RouterDrainView
from routerd.core.message import SysctlState
from routerd.core.route import Family
from routerd.core.router import Router

_FORWARDING = {"net.ipv4.ip_forward": Family.IPV4, "net.ipv6.conf.all.forwarding": Family.IPV6}


def health(router: Router, sysctls: Iterable[SysctlState], at_least: int) -> HealthView:
    """Return whether the router can carry traffic: the first reason why not, what the operator has done first."""
    gateways = gateways_in_fib(router)
    nodes = max(gateways.values(), default=0)  # one with addresses of both families is one node
    reason = next(_reasons(router, sysctls, gateways, nodes, at_least), "")
    drained = router.drains.own is not None
    return HealthView(ok=not reason, reason=reason, nodes=nodes, at_least=at_least, drained=drained)


def _reasons(
    router: Router, sysctls: Iterable[SysctlState], gateways: Mapping[Family, int], nodes: int, at_least: int
) -> Iterator[str]:
    if order := router.drains.own:
        yield f"it is drained by {order.by}; routerd undrain --self ends that"
    if not router.synchronised:
        yield "the kernel has not been read yet"
    for state in sysctls:
        if state.name in _FORWARDING and state.current != state.wanted and gateways.get(_FORWARDING[state.name]):
            yield f"{state.name} is {state.current or 'absent'}: the kernel does not forward"
    if nodes < at_least:
        yield f"{nodes or 'no'} node{'s' * (nodes > 1)} in the FIB, at least {at_least} wanted"
    if router.fib.refused and not router.fib.routes:
        yield "the kernel refuses every route"


def gateways_in_fib(router: Router) -> Counter[Family]:
    """Count, by family, the gateways that some group in the kernel leads to."""
    groups = router.fib.groups
    return Counter(
        Family.IPV4 if len(gateway.address) == 4 else Family.IPV6
        for gateway in groups.nexthops
        if gateway.address and any(gateway in group.legs for group in groups.having(gateway))
    )


def ordered(router: Router) -> OrderedView | None:
    """Return who has drained this router, and when; None if nobody has."""
    order = router.drains.own
    return None if order is None else OrderedView(by=order.by, time=order.time)


def own_drain(router: Router, *, unstored: str) -> RouterDrainView:
    """Return how the drain of this router is."""
    told = router.rib.advertising.adj_ribs_out
    hearing = (p for p in router.rib.peers.values() if any(told.count(p.address, family) for family in Family))
    return RouterDrainView(
        drain=ordered(router),
        peers=sum(1 for _ in hearing),
        telling=bool(told),
        changed=False,
        unstored=unstored,
    )
