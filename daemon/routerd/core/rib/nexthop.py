"""Next-hop tracking: through which gateway and interface a BGP next hop is reached.

Connected networks come first, then the longest of the other daemons' and the operator's routes, one level
deep (the nexthop object needs a gateway on the link). The default route resolves nothing: a node that only
the default route reaches is not where it should be.
"""

from __future__ import annotations

from dataclasses import dataclass

from routerd.core.memo import Memo
from routerd.core.message import ForeignRoute, Gateway, Interface
from routerd.core.rib.policy import unmap
from routerd.core.route import Address, Prefix, contains

_LINK_LOCAL = b"\xfe\x80"
_MEMO_LIMIT = 4 << 20
"""Octets of remembered resolutions."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where a next hop leaves the router. `metric` is that of the route to it, 0 on the link (step 7)."""

    gateway: Gateway
    metric: int


class NexthopTable:
    """Resolves next hops against the last dump of interfaces and foreign routes."""

    def __init__(self) -> None:
        self.interfaces: dict[int, Interface] = {}
        self.foreign: tuple[ForeignRoute, ...] = ()
        """Everybody else's routes, one a leg."""
        self._connected: list[tuple[Prefix, int]] = []
        self._routed: list[tuple[Prefix, Gateway, int]] = []
        self._memo: Memo[tuple[Address, Address | None, Address], Resolution | None] = Memo(_MEMO_LIMIT)
        self.addresses: frozenset[Address] = frozenset()
        """The router's own addresses, link-local ones excepted."""
        self.networks: frozenset[Prefix] = frozenset()
        """The router's connected networks, link-local ones excepted."""

    def update(self, interfaces: tuple[Interface, ...], foreign: tuple[ForeignRoute, ...] | None) -> bool:
        """Take over a new dump; tell whether any resolution may differ now."""
        if foreign is None and self.interfaces == {interface.index: interface for interface in interfaces}:
            return False  # nexthops changed, and not the ways to them: there may be a full table of those
        if foreign is not None:
            self.foreign = foreign
        foreign = self.foreign
        up = {interface.index: interface for interface in interfaces if interface.up}
        connected = {(network, i.index) for i in up.values() for network in i.networks}
        connected |= {(r.prefix, r.ifindex) for r in foreign if r.gateway is None and r.prefix[0] and r.ifindex in up}
        routed = {
            (r.prefix, Gateway(r.gateway, r.ifindex), r.metric)
            for r in foreign
            if r.gateway is not None and r.prefix[0] and r.ifindex in up
        }
        new_connected = sorted(connected, key=lambda entry: (-entry[0][0], entry[0], entry[1]))
        new_routed = sorted(routed, key=lambda entry: (-entry[0][0], entry[2], entry[0], entry[1].address))
        by_index = {interface.index: interface for interface in interfaces}
        changed = (new_connected, new_routed, by_index) != (self._connected, self._routed, self.interfaces)
        self.interfaces = by_index
        self._connected, self._routed = new_connected, new_routed
        self._memo.clear()
        self.addresses = frozenset(a for i in interfaces for a in i.addresses if a[:2] != _LINK_LOCAL)
        self.networks = frozenset(n for i in interfaces for n in i.networks if n[1:3] != _LINK_LOCAL)
        return changed

    def resolve(self, next_hop: Address, link_local: Address | None, peer: Address) -> Resolution | None:
        """Resolve a next hop announced by the peer at `peer`; None when nothing leads there.

        An IPv6 next hop that cannot be used as it is (IPv4-mapped, or absent) falls back to the link-local
        address on the peer's link, as RFC 2545 section 3 pairs them.
        """
        key = (next_hop, link_local, peer)
        if key not in self._memo:
            self._memo.remember(key, self._resolve(next_hop, link_local, peer), 400)
        return self._memo[key]

    def _resolve(self, next_hop: Address, link_local: Address | None, peer: Address) -> Resolution | None:
        usable = next_hop
        if unmap(next_hop) != next_hop or not any(next_hop):
            # An IPv4-mapped or absent address: the kernel cannot route IPv6 by an IPv4 gateway.
            if link_local is None:
                return None
            usable = link_local
        if any(usable in interface.addresses for interface in self.interfaces.values()):
            return None  # the router itself
        if usable[:2] == _LINK_LOCAL and len(usable) == 16:
            link = self.link_of(peer)
            return None if link is None else Resolution(Gateway(usable, link), 0)
        for network, ifindex in self._connected:
            if contains(network, usable):
                return Resolution(Gateway(usable, ifindex), 0)
        for network, gateway, metric in self._routed:
            if contains(network, usable):
                return Resolution(gateway, metric)
        return None

    def leads(self, address: Address) -> int:
        """Return the length of the longest prefix that leads to an address, 0 if none but the default route does."""
        ways = [network for network, _ in self._connected] + [network for network, _, _ in self._routed]
        return max((network[0] for network in ways if contains(network, address)), default=0)

    def link_of(self, peer: Address) -> int | None:
        """Return the index of the interface whose network holds the peer; None when it is not on a link."""
        return next((index for network, index in self._connected if contains(network, peer)), None)

    def address_beside(self, local: Address, size: int) -> Address | None:
        """Return an address of `size` bytes on the interface that holds `local`, a global one if possible."""
        for interface in self.interfaces.values():
            if local in interface.addresses:
                beside = [address for address in interface.addresses if len(address) == size]
                beside.sort(key=lambda address: address[:2] == _LINK_LOCAL)
                return local if len(local) == size else next(iter(beside), None)
        return local if len(local) == size else None
