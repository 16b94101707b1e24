"""Addresses that nodes announce and the router has itself: whoever asks for such a VIP is answered by the router."""

from __future__ import annotations

from collections.abc import Iterator

from routerd.api.models import ProblemView
from routerd.api.views.problems.first import first
from routerd.core.rib.policy import Reject
from routerd.core.route import Prefix, format_address, format_prefix
from routerd.core.router import Router

_TAKEN = (Reject.NODE_ADDRESS, Reject.OWN_NETWORK)


def conflicts(router: Router) -> Iterator[ProblemView]:
    """Yield the addresses of the router's own that nodes with a session announce, too."""
    own = {Prefix(bytes((8 * len(a),)) + a): a for a in router.rib.nexthops.addresses}
    nodes: dict[Prefix, list[str]] = {}
    for peer in router.rib.peers.values():
        kept = peer.adj_rib_in.rejected.kept
        for prefix in kept.keys() & own.keys() if peer.session is not None else ():
            if kept[prefix][1] in _TAKEN:
                nodes.setdefault(prefix, []).append(peer.name)

    def tell(each: tuple[Prefix, list[str]]) -> ProblemView:
        prefix, names = each
        interface = next(i.name for i in router.rib.nexthops.interfaces.values() if own[prefix] in i.addresses)
        return ProblemView(
            where=f"route {format_prefix(prefix)}",
            what=f"not in the FIB: it is an address of the router itself, on {interface}, and announced by "
            f"{names[0]}{f' and {len(names) - 1} more' if names[1:] else ''}",
            remedy=f"ip address del {format_address(own[prefix])}/{prefix[0]} dev {interface}, if the nodes shall "
            "serve it; else take it from the nodes",
        )

    more = "addresses of the router itself are announced by nodes, and not in the FIB"
    yield from first(sorted(nodes.items()), tell, where="fib", more=more, remedy="ip address show")
