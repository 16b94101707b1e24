"""Nodes that ought to be there and are not: those of before a restart, and the expected number of a range."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from routerd.api.models import ProblemView
from routerd.core.route import format_address
from routerd.core.router import Router


def awaited(router: Router) -> Iterator[ProblemView]:
    """Yield the gateways whose routes were adopted and that no node with a session leads to yet."""
    awaited = router.fib.awaiting.gateways
    missing = awaited - set(router.rib.leads.speaking(awaited))
    for address in sorted({gateway.address for gateway in missing}):
        yield ProblemView(
            where=f"node {format_address(address)}",
            what="it was there before routerd started and has not returned; its routes stay for now",
            remedy="check the node's speaker; if the node is gone for good its routes go when stale_time is over",
        )


def too_few(router: Router) -> Iterator[ProblemView]:
    """Yield the ranges that have fewer nodes with a session than the configuration expects. Those that the operator
    has shut down are not missing."""
    ranges = [each for each in router.config.dynamic_peers if each.expected]
    if not ranges:
        return
    up = Counter(
        found.range
        for peer in router.rib.peers.values()
        if peer.session is not None and (found := router.config.range_of(peer.address)) is not None
    )
    for each in ranges:
        out = sum(router.config.range_of(address) is each for address in router.rib.peers.shut)
        if up[each.range] + out < each.expected:
            down = f", {out} are shut down" if out else ""
            yield ProblemView(
                where=f"range {each.range}",
                what=f"{up[each.range]} nodes have a session{down}, {each.expected} are expected",
                remedy="check the nodes that are missing in routerd peers, or change expected in [[dynamic_peers]]",
            )
