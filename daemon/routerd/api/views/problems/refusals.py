"""Connections that did not become sessions, whoever has opened them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from routerd.api.models import ProblemView, RefusalView
from routerd.api.views.problems.first import first
from routerd.config.model import Config
from routerd.core.router import Router

RECENT = 600.0
"""Seconds after which an attempt is no problem any more: whoever made it has given up."""

_COLLISION = "6/7 sent"


def refused(router: Router, refusals: Iterable[RefusalView], now: float) -> Iterator[ProblemView]:
    """Yield what was refused lately, the latest first."""
    recent = [each for each in refusals if matters(router, each, now)]
    recent.sort(key=lambda each: each["last_seconds"])
    yield from first(
        recent,
        lambda each: ProblemView(
            where=f"connections {_from(router.config, each['address'])} {_named(router.config, each['address'])}",
            what=f"{each['reason']}; {_often(each)}",
            remedy=_remedy(router.config, each),
        ),
        where="connections",
        more="addresses or reasons of connections that did not become sessions",
        remedy="routerd status --json shows all, under refusals",
    )


def matters(router: Router, refusal: RefusalView, now: float) -> bool:
    """Tell whether an attempt is recent, and its node without a session since then."""
    if refusal["last_seconds"] > RECENT or refusal["notification"] == _COLLISION:
        return False
    peer = router.rib.peers.get(refusal["address"])
    if peer is None or peer.session is None:
        return True
    # Beside a session that stands, a connection that says nothing is somebody's check of the port.
    return bool(refusal["notification"]) and refusal["last_seconds"] < now - peer.since


def _from(config: Config, address: str) -> str:
    """Return how a peer and its connections are to each other: who is dialled has not opened all of them."""
    return "with" if config.is_dialled(address) else "from"


def _named(config: Config, address: str) -> str:
    name = config.name_of(address)
    return address if name == address else f"{name} {address}"


def _often(refusal: RefusalView) -> str:
    count, ago = refusal["count"], f"{refusal['last_seconds']:.0f} s ago"
    return f"once, {ago}" if count == 1 else f"{count} times, the last {ago}"


def _remedy(config: Config, refusal: RefusalView) -> str:
    address, router = refusal["address"], config.router
    found = config.group_of(address)
    if found is None:
        return (
            f"add {address} to [[peers]], or its network to [[dynamic_peers]]; or find out what dials in from there"
        )
    group = f"[peer_groups.{found[0]}]"
    wide = config.range_of(address)
    ours = f"the node's speaker has to have this router as its peer, as AS {router.asn}"
    match refusal["notification"]:
        case "6/5 sent" if "TTL" in refusal["reason"]:
            return f"the node has to send with TTL 255; or raise multihop of {group}, or turn ttl_security off there"
        case "6/5 sent" if wide is not None:
            return f"raise limit of the range {wide.range}, or find out why it has so many peers"
        case "2/2 sent":
            return f"correct the AS in the node's speaker, or remote_as in {group}"
        case "2/3 sent":
            return "give the node a router id of its own"
        case "2/6 sent":
            return "set the hold time in the node's speaker to 0, or to 3 s or more"
        case "2/2 received":
            return (
                f"the node expects another AS of this router, which is {router.asn}: correct it in the node's speaker"
            )
        case "2/11 received":
            return "the node demands a BGP role (RFC 9234), and routerd has none: turn its strict mode off there"
        case "6/3 received" | "6/5 received":
            return f"{ours}, at the address that it dials"
        case "6/2 received":
            return "the peer is shut down in the node's speaker: enable it there"
    return f"see the log of the node's speaker; {ours}, with the same password and ttl_security as {group}"
