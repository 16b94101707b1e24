"""Nodes that were there and went with a link, and ranges that all nodes have left: their VIPs are gone."""

from __future__ import annotations

from collections.abc import Iterator

from routerd.api.models import ProblemView
from routerd.core.rib.peer import Peer
from routerd.core.router import Router

_SHOWN = 5


def vanished(router: Router, now: float) -> Iterator[ProblemView]:
    """Yield the links with which nodes went, and the ranges that had nodes and have none any more.

    A node of a range is remembered for an hour after its session, and as long as its link is down.
    """
    lost: dict[str, list[Peer]] = {}
    for peer in router.rib.peers.values():
        if peer.lost_with and peer.address not in router.rib.peers.shut:
            lost.setdefault(peer.lost_with, []).append(peer)
    for name, peers in lost.items():
        down = router.rib.is_down(name)
        yield ProblemView(
            where=f"interface {name}",
            what=f"{'it is down' if down else 'it was down'}, and {_nodes(peers)} "
            + ("are behind it" if down else "have not returned since"),
            remedy=f"check its cable and what it leads to; ip link show {name}"
            if down
            else f"check that the nodes reach this router by {name}",
        )
    yield from _deserted(router, now)


def _deserted(router: Router, now: float) -> Iterator[ProblemView]:
    gone: dict[str, list[Peer]] = {}
    for peer in router.rib.peers.values():
        left = peer.session is None and peer.deadline is None and peer.last is not None and peer.last.dynamic
        left = left and peer.address not in router.rib.peers.shut
        if left and (found := router.config.range_of(peer.address)) is not None and not found.expected:
            gone.setdefault(found.range, []).append(peer)
    deserted = dict.fromkeys(gone)
    for peer in router.rib.peers.values():
        if not deserted:
            return  # after the first of a thousand nodes, as a rule
        present = peer.session is not None or peer.deadline is not None
        if present and (found := router.config.range_of(peer.address)) is not None:
            deserted.pop(found.range, None)
    for name in deserted:
        last = max(gone[name], key=lambda peer: peer.since)
        yield ProblemView(
            where=f"range {name}",
            what=f"no node is left there: {_nodes(gone[name])} had sessions, the last until "
            f"{now - last.since:.0f} s ago ({last.reason})",
            remedy="check the nodes and the way to them; if they are gone for good this is forgotten after an hour",
        )


def _nodes(peers: list[Peer]) -> str:
    more = f" and {len(peers) - _SHOWN} more" if len(peers) > _SHOWN else ""
    return f"{len(peers)} nodes ({', '.join(peer.name for peer in peers[:_SHOWN])}{more})"
