"""What the BGP child is told of the configuration, in plain values.

The parent has checked them. With pydantic, which does that, the child would be half as large again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from routerd.config.ranges import narrowest

if TYPE_CHECKING:
    from routerd.config.model import Config


class Router(NamedTuple):
    """Of `[router]`, the fields of the same names."""

    asn: int
    router_id: str
    listen: tuple[str, ...]
    port: int


class PeerGroup(NamedTuple):
    """Of `[peer_groups.NAME]`, the fields of the same names."""

    remote_as: int | str
    hold_time: int
    multihop: int
    ttl_security: bool
    graceful_restart: bool
    restart_time: int
    families: tuple[str, ...]
    password: str | None
    least_ttl: int


class Peer(NamedTuple):
    """Of `[[peers]]`, the fields of the same names."""

    address: str
    group: str
    connect: bool
    port: int
    local_address: str | None


class DynamicPeers(NamedTuple):
    """Of `[[dynamic_peers]]`, the fields of the same names."""

    range: str
    group: str
    limit: int


class SpeakerConfig(NamedTuple):
    """What the child speaks BGP by."""

    router: Router
    peer_groups: dict[str, PeerGroup]
    peers: tuple[Peer, ...]
    dynamic_peers: tuple[DynamicPeers, ...]

    def group_of(self, address: str) -> tuple[str, PeerGroup] | None:
        """Return the name and group of the peer at `address`: a static one first, else the narrowest range."""
        wanted = next((peer for peer in self.peers if peer.address == address), None) or self.range_of(address)
        return None if wanted is None else (wanted.group, self.peer_groups[wanted.group])

    def range_of(self, address: str) -> DynamicPeers | None:
        """Return the narrowest dynamic range that holds `address`."""
        return narrowest(self.dynamic_peers, address)


def pack_config(config: Config) -> bytes:
    """Return what the child needs of a configuration, as JSON: each tuple above is a list."""
    return json.dumps(
        SpeakerConfig(
            _part(Router, config.router),
            {name: _part(PeerGroup, group) for name, group in config.peer_groups.items()},
            tuple(_part(Peer, peer) for peer in config.peers),
            tuple(_part(DynamicPeers, each) for each in config.dynamic_peers),
        )
    ).encode()


def unpack_config(data: bytes) -> SpeakerConfig:
    """Return what `pack_config` has packed."""
    router, groups, peers, ranges = json.loads(data)
    return SpeakerConfig(
        Router(*router),
        {name: PeerGroup(*group) for name, group in groups.items()},
        tuple(Peer(*peer) for peer in peers),
        tuple(DynamicPeers(*each) for each in ranges),
    )


def _part(kind: Any, section: Any) -> Any:
    """Return the fields of a section that `kind` has."""
    return kind(*(getattr(section, name) for name in kind._fields))
