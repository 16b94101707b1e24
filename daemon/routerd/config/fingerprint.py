"""What tells whether two routers of a site are configured alike."""

from __future__ import annotations

import hashlib
from typing import Any

from routerd.config.model import Config

_OWN: dict[str, Any] = {
    "include": True,
    "api": True,
    "drain": True,
    "mqtt": True,
    "pair": True,
    "metrics": True,
    "looking_glass": True,
    "mrt": True,
    "bmp": {"__all__": {"address"}},
    "router": {"router_id", "listen"},
    "peers": {"__all__": {"local_address"}},
    "peer_groups": {"__all__": {"password"}},
}
"""What is a router's own, and passwords, which nobody shall guess from a hash."""


def fingerprint(config: Config) -> str:
    """Return a hash of what the routers of a site have in common, 12 digits; the order of peers does not matter."""
    alike = config.model_copy(
        update={
            "peers": tuple(sorted(config.peers, key=lambda peer: peer.name)),
            "dynamic_peers": tuple(sorted(config.dynamic_peers, key=lambda peers: peers.range)),
            "peer_groups": dict(sorted(config.peer_groups.items())),
        }
    )
    return hashlib.sha256(alike.model_dump_json(exclude=_OWN).encode()).hexdigest()[:12]
