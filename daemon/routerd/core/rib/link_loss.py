"""Which interface a peer was lost with: as long as that is down, the peer is not expected back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from routerd.core.message import Gateway, Interface
from routerd.core.rib.nexthop import NexthopTable
from routerd.core.rib.peer import Peer
from routerd.core.rib.policy import Spaces


def note_links(
    peers: Iterable[Peer],
    gateways_of: Callable[[Peer], Collection[Gateway]],
    nexthops: NexthopTable,
    interfaces: Collection[Interface],
) -> None:
    """Note which peers go down with a link, when `interfaces` are to follow those of `nexthops`. A link that is back
    in time, or whose network is behind another one by then, has cost no session."""
    up = {interface.index: interface for interface in interfaces if interface.up}
    fallen = [link for link in nexthops.interfaces.values() if link.up and link.index not in up]
    concerned = [peer for peer in peers if peer.session is not None and (fallen or peer.lost_with)]
    if not concerned:
        return
    risen = {link.name for index, link in up.items() if not nexthops.is_up(index)}
    were = {link.index: Spaces(link.networks) for link in fallen}
    are = [(link, Spaces(link.networks)) for link in interfaces]
    for peer in concerned:
        ways = {gateway.ifindex for gateway in gateways_of(peer)}
        behind = (i for i in fallen if i.index in ways or any(were[i.index].around(peer.packed)))
        if (link := next(behind, None)) is not None:
            peer.lost_with = link.name
        if peer.lost_with in risen or _has_moved(peer, are):
            peer.lost_with = ""


def note_ways(peers: Iterable[Peer], nexthops: NexthopTable) -> None:
    """Something else leads to these peers. One that is in no network of the router's, and that a route leads to by
    now, goes on by another link, or by the same one under another name: nothing has cost its session."""
    for peer in peers:
        if not peer.lost_with or peer.session is None or any(nexthops.networks.around(peer.packed)):
            continue
        if nexthops.resolve(peer.packed, None, peer.packed) is not None:
            peer.lost_with = ""


def _has_moved(peer: Peer, links: Iterable[tuple[Interface, Spaces]]) -> bool:
    """Tell whether a peer's network has left the interface that it was lost with for one that is up: the addresses of
    one that becomes a port of a bridge, say."""
    behind = {link.name: link.up for link, networks in links if any(networks.around(peer.packed))}
    return peer.lost_with not in behind and any(behind.values())
