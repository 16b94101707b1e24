"""Peers that the router dials: how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from routerd.api.models import PeerView
from routerd.config.model import Config

Dialled = Mapping[str, str]
"""Address of a peer that is dialled and has no session -> how far the router has come, and when it tries again."""

NOBODY: Dialled = MappingProxyType({})


def line(state: str, again: float | None) -> str:
    """Return the line for a peer; `again` is in how many seconds it is dialled next."""
    return state if again is None else f"{state}; next try in {max(again, 0.0):.0f} s"


def with_dialling(peers: list[PeerView], dialled: Dialled) -> list[PeerView]:
    """Return the peers; of those without a session the reason says how far the router has come, too."""
    for peer in peers:
        said = dialled.get(peer["address"])
        if said is not None and peer["state"] == "waiting":
            peer["reason"] = said
        elif said is not None and peer["state"] == "stale":
            peer["reason"] = f"{peer['reason']}; {said}"
    return peers


def remedy(config: Config, address: str) -> str:
    """Return what to do about a peer that is dialled in vain, or that dials in itself."""
    peer = next(each for each in config.peers if each.address == address)
    source, group = peer.local_address or "this router", config.peer_groups[peer.group]
    guarded = [key for key in ("password", "ttl_security") if getattr(group, key)]
    alike = f" with the {' and '.join(guarded)} of [peer_groups.{peer.group}]" if guarded else ""
    return (
        f"check that the peer's speaker runs, listens on TCP port {peer.port} and has {source} as its peer{alike}, "
        "and that nothing between them stops it; or that it dials, and that "
        f"{address} reaches this router on TCP port {config.router.port}"
    )
