"""Next-hop tracking: through which gateways and interfaces a BGP next hop is reached.

As the kernel would: the longest match, then the lowest metric, over all routes of the main table but routerd's own.
What it finds may be a connected network, or a route of another daemon or the operator with one or several gateways.
These are one level deep (the nexthop object needs a gateway on the link). A route of type blackhole, unreachable,
prohibit or throw ends the search with nothing. A route whose interfaces are all down or without carrier is passed
over. The default route resolves nothing: a node that only the default route reaches is not where it should be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from routerd.core.memo import Memo
from routerd.core.message import (
    ForeignRoutes,
    Gateway,
    Interface,
    KernelGroup,
    KernelNexthop,
    Lengths,
    NexthopChange,
    RouteChange,
)
from routerd.core.rib.foreign import ForeignTable, network_of
from routerd.core.rib.policy import is_link_local, unmap
from routerd.core.route import Address, Prefix, contains

RTN_UNICAST = 1

_MEMO_LIMIT = 4 << 20
"""Octets of remembered resolutions."""
_LIMIT = 65536
"""Addresses whose way is watched. With more, every change may concern one."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where a next hop leaves the router. `metric` is that of the route to it, 0 on the link (step 7)."""

    gateways: tuple[Gateway, ...]
    metric: int

    @property
    def gateway(self) -> Gateway:
        """The first of the gateways, which is nearly always the only one."""
        return self.gateways[0]


_Way = tuple[int, Resolution | None]
"""The length of the prefix that a lookup ends at, 0 for none, and where that leads."""


class NexthopTable:
    """Resolves next hops against interfaces and foreign routes as they are now.

    `onlink` has the gateways that are on the link only because a route says so: their nexthop objects must say it,
    too.
    """

    def __init__(self) -> None:
        self.interfaces: dict[int, Interface] = {}
        self.foreign = ForeignTable()
        self.onlink: set[Gateway] = set()
        self._up: frozenset[int] = frozenset()
        self._memo: Memo[tuple[Address, Address | None, Address], Resolution | None] = Memo(_MEMO_LIMIT)
        self._watched: set[Address] = set()
        self._within: dict[tuple[int, int], dict[Prefix, list[Address]]] = {}
        """The watched addresses by their network, for each size and prefix length that was asked for."""
        self.addresses: frozenset[Address] = frozenset()
        """The router's own addresses, link-local ones excepted."""
        self.networks: frozenset[Prefix] = frozenset()
        """The router's connected networks, link-local ones excepted."""

    def update(
        self,
        interfaces: tuple[Interface, ...],
        foreign: ForeignRoutes | None = None,
        objects: Iterable[KernelNexthop | KernelGroup] | None = None,
        lengths: Lengths | None = None,
    ) -> bool:
        """Take over a dump of interfaces, and of foreign routes and nexthop objects unless these are None; tell
        whether any resolution may differ now. `lengths` are those of the foreign routes, if known."""
        before = self._ways(self._watched)
        by_index = {interface.index: interface for interface in interfaces}
        changed = by_index != self.interfaces
        self.interfaces = by_index
        self._up = frozenset(interface.index for interface in interfaces if interface.up)
        if objects is not None:
            self.foreign.replace_objects(objects)
        if foreign is not None:
            self.foreign.replace_routes(foreign, lengths)
        self.addresses = frozenset(a for i in interfaces for a in i.addresses if not is_link_local(a))
        self.networks = frozenset(n for i in interfaces for n in i.networks if not is_link_local(Address(n[1:])))
        return self._judge(changed=changed or self._differs(before))

    def apply(self, changes: Iterable[RouteChange | NexthopChange]) -> bool:
        """Take over what the kernel told of foreign routes and nexthops; tell as `update` does."""
        changes = list(changes)
        concerned = set[Address]()
        for change in changes:
            if isinstance(change, RouteChange):
                concerned.update(self._inside(change.prefix))
            else:
                concerned = self._watched
                break
        before = self._ways(concerned)
        for change in changes:
            self.foreign.apply(change)
        return self._judge(changed=self._differs(before))

    def resolve(self, next_hop: Address, link_local: Address | None, peer: Address) -> Resolution | None:
        """Resolve a next hop announced by the peer at `peer`; None when nothing leads there.

        An IPv6 next hop that cannot be used as it is (IPv4-mapped, or absent) falls back to the link-local
        address on the peer's link, as RFC 2545 section 3 pairs them.
        """
        key = (next_hop, link_local, peer)
        if (known := self._memo.get(key)) is not None or key in self._memo:
            return known
        return self._memo.remember(key, self._resolve(next_hop, link_local, peer, self._way), 400)

    def look(self, next_hop: Address, link_local: Address | None, peer: Address) -> Resolution | None:
        """Resolve as `resolve` does, for somebody who does not want to hear when the way changes."""
        key = (next_hop, link_local, peer)
        return self._memo[key] if key in self._memo else self._resolve(*key, self._seek)

    def _resolve(
        self, next_hop: Address, link_local: Address | None, peer: Address, way: Callable[[Address], _Way]
    ) -> Resolution | None:
        usable = next_hop
        if unmap(next_hop) != next_hop or not any(next_hop):
            # An IPv4-mapped or absent address: the kernel cannot route IPv6 by an IPv4 gateway.
            if link_local is None:
                return None
            usable = link_local
        if any(usable in interface.addresses for interface in self.interfaces.values()):
            return None  # the router itself
        if is_link_local(usable):
            link = _link(way(peer), peer)
            return Resolution((Gateway(usable, link),), 0) if link is not None and self._has_ipv6(link) else None
        return way(usable)[1]

    def is_up(self, index: int) -> bool:
        """Tell whether an interface is up, with carrier."""
        return index in self._up

    def name_of(self, index: int) -> str:
        """Return the name of the interface with this index, the index if it has gone."""
        interface = self.interfaces.get(index)
        return str(index) if interface is None else interface.name

    def reaches(self, gateway: Gateway) -> bool:
        """Tell whether anything leads to a gateway: a route, or its link alone."""
        if is_link_local(gateway.address):
            return self._has_ipv6(gateway.ifindex)
        if gateway in self.onlink:
            return gateway.ifindex in self._up
        return self._way(gateway.address)[1] is not None

    def _has_ipv6(self, index: int) -> bool:
        """Tell whether an interface is up and speaks IPv6: then a link-local address of its scope is on the link."""
        link = self.interfaces.get(index)
        return link is not None and link.up and any(len(address) == 16 for address in link.addresses)

    def leads(self, address: Address) -> int:
        """Return the length of the longest prefix that leads to an address, 0 if none but the default route does. An
        address of the router's own counts as part of its network, even where no route leads to that, as on `lo`."""
        return self._leads(address, self._way(address))

    def look_leads(self, address: Address) -> int:
        """Return what `leads` does, for somebody who does not want to hear when it changes."""
        return self._leads(address, self._seek(address))

    def _leads(self, address: Address, way: _Way) -> int:
        holders = [i for i in self.interfaces.values() if address in i.addresses] if address in self.addresses else []
        own = (network[0] for holder in holders for network in holder.networks if contains(network, address))
        return max(way[0], *own, 0)

    def link_of(self, peer: Address) -> int | None:
        """Return the index of the interface whose network holds the peer; None when it is not on a link."""
        return _link(self._way(peer), peer)

    def _way(self, address: Address) -> _Way:
        """Return the way to an address, and watch it from now on."""
        if address not in self._watched:
            self._watch(address)
        return self._lookup(address)

    def _lookup(self, address: Address) -> _Way:
        return self._seek(address, self.onlink)

    def _seek(self, address: Address, onlink: set[Gateway] | None = None) -> _Way:
        """Look the way to an address up; note in `onlink` which gateways are on the link because a route says so."""
        for bits, route in self.foreign.matches(address):
            if route.kind != RTN_UNICAST:
                return bits, None
            legs = [leg for leg in self.foreign.legs(route) if leg.ifindex in self._up or not leg.ifindex]
            if not legs:
                continue
            if not all(leg.ifindex for leg in legs):
                return bits, None  # a nexthop object that is a blackhole
            gateways = {Gateway(address if leg.gateway is None else leg.gateway, leg.ifindex): leg for leg in legs}
            if onlink is not None:
                onlink.update(gateway for gateway, leg in gateways.items() if leg.onlink)
            connected = all(leg.gateway is None for leg in legs)
            return bits, Resolution(tuple(gateways), 0 if connected else route.metric)
        return 0, None

    # ------------------------------------------------------------------------------------------ changes

    def _watch(self, address: Address) -> None:
        if len(self._watched) < _LIMIT:
            self._watched.add(address)
            for (size, bits), networks in self._within.items():
                if size == len(address):
                    networks.setdefault(network_of(address, bits), []).append(address)

    def _inside(self, prefix: Prefix) -> list[Address]:
        """Return the watched addresses inside a prefix."""
        size, bits = len(prefix) - 1, prefix[0]
        if (size, bits) not in self._within:
            networks = self._within[size, bits] = {}
            for address in self._watched:
                if len(address) == size:
                    networks.setdefault(network_of(address, bits), []).append(address)
        return self._within[size, bits].get(prefix, [])

    def _ways(self, addresses: Iterable[Address]) -> dict[Address, _Way]:
        return {address: self._lookup(address) for address in addresses}

    def _differs(self, before: dict[Address, _Way]) -> bool:
        return any(self._lookup(address) != way for address, way in before.items())

    def _judge(self, *, changed: bool) -> bool:
        """Forget what may be old now; whoever is told so asks again for every next hop that is in use, in time.
        Gateways that are on the link by say-so are in use until then: they are looked up right away."""
        watched, crowded = self._watched, len(self._watched) >= _LIMIT
        if not changed and not crowded:
            return False
        self._memo.clear()
        self._within.clear()
        self.onlink.clear()
        ways = self._ways(watched).items()
        self._watched = {address for address, way in ways if self._is_onlink(way) and not crowded}
        return True

    def _is_onlink(self, way: _Way) -> bool:
        return way[1] is not None and not self.onlink.isdisjoint(way[1].gateways)

    def address_beside(self, local: Address, size: int) -> Address | None:
        """Return an address of `size` bytes on the interface that holds `local`, a global one if possible."""
        for interface in self.interfaces.values():
            if local in interface.addresses:
                beside = [address for address in interface.addresses if len(address) == size]
                beside.sort(key=is_link_local)
                return local if len(local) == size else next(iter(beside), None)
        return local if len(local) == size else None


def _link(way: _Way, peer: Address) -> int | None:
    """Return the interface of the way to a peer; None if it is not on a link."""
    _, found = way
    return found.gateway.ifindex if found is not None and found.gateway.address == peer else None
