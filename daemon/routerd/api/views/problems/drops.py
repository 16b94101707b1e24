"""Nodes whose segments the kernel drops, unheard: whose they are is inferred from who has no session."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from routerd.api.models import DropView, PeerView, ProblemView
from routerd.config.model import PeerGroup
from routerd.core.router import Router

RECENT = 60.0
"""Seconds: a node that is not answered tries again within that time."""

_SHOWN = 5

_MEANING: dict[str, tuple[str, Callable[[PeerGroup], bool], str]] = {
    "TCPMD5NotFound": (
        "TCP segments without a password came from where one is expected",
        lambda group: group.password is not None,
        "set the password of the peer group in the node's speaker too",
    ),
    "TCPMD5Failure": (
        "TCP segments with a wrong password came",
        lambda group: group.password is not None,
        "set the same password in the peer group and in the node's speaker",
    ),
    "TCPMD5Unexpected": (
        "TCP segments with a password came from where none is configured",
        lambda group: group.password is None,
        "set the password in the peer group, or remove it from the node's speaker",
    ),
    "TCPMinTTLDrop": (
        "TCP segments came with a TTL that ttl_security does not allow",
        lambda group: group.ttl_security,
        "the node has to send with TTL 255, from no farther away than multihop says",
    ),
}


def dropped(router: Router, drops: list[DropView], now: float) -> Iterator[ProblemView]:
    """Yield a problem for each kind of segments that is dropped now, if anybody who may have sent them is missing."""
    for drop in drops:
        what, concerns, remedy = _MEANING[drop["counter"]]
        missing = [*_peers(router, concerns, drop, now), *_ranges(router, concerns)]
        if drop["last_seconds"] > RECENT or not missing:
            continue
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        yield ProblemView(
            where="tcp",
            what=f"{what}: {drop['count']} so far, the last {drop['last_seconds']:.0f} s ago. They are dropped; "
            f"perhaps of {', '.join(missing[:_SHOWN])}{more}",
            remedy=f"{remedy} (nstat -az {drop['counter']})",
        )


def explained(router: Router, views: list[PeerView], drops: list[DropView], now: float) -> list[PeerView]:
    """Replace the reasons of configured peers whose segments may be among those that are dropped now.

    Why their last session ended is not why they have none.
    """
    for drop in drops:
        if drop["last_seconds"] <= RECENT:
            what, concerns, _ = _MEANING[drop["counter"]]
            missing = set(_peers(router, concerns, drop, now))
            for view in views:
                if view["name"] in missing:
                    view["reason"] = f"{what}, perhaps its own" + (
                        f"; before: {view['reason']}" * bool(view["reason"])
                    )
    return views


def _peers(router: Router, concerns: Callable[[PeerGroup], bool], drop: DropView, now: float) -> list[str]:
    """Return the names of the configured peers that have had no session since the last drop."""
    known = (router.rib.peers[each.address] for each in router.config.peers)
    return [
        peer.name
        for peer in known
        if concerns(peer.group) and peer.session is None and now - peer.since >= drop["last_seconds"]
        if peer.address not in router.rib.peers.shut
    ]


def _ranges(router: Router, concerns: Callable[[PeerGroup], bool]) -> Iterator[str]:
    """Yield the ranges that are not full, in which anybody may be missing."""
    for each in router.config.dynamic_peers:
        if concerns(router.config.peer_groups[each.group]):
            yield f"a node of {each.range}"
