"""Next-hop tracking: through which gateways and interfaces a BGP next hop is reached.

The way there (`ways.py`) may be a connected network, or a route of another daemon or the operator with one or several
gateways. These are one level deep (the nexthop object needs a gateway on the link).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from routerd.core.memo import Memo
from routerd.core.message import (
    ForeignRoutes,
    Gateway,
    Interface,
    KernelGroup,
    KernelNexthop,
    NexthopChange,
    RouteChange,
)
from routerd.core.rib.policy import Spaces, is_link_local, unmap
from routerd.core.rib.ways import Moved, Resolution, Way, Ways
from routerd.core.route import Address

_MEMO_LIMIT = 4 << 20
"""Octets of remembered resolutions."""


class NexthopTable:
    """Resolves next hops against interfaces and foreign routes as they are now."""

    def __init__(self) -> None:
        self.interfaces: dict[int, Interface] = {}
        self._ways = Ways()
        self.foreign = self._ways.foreign
        self._ipv6: frozenset[int] = frozenset()
        """The interfaces on which link-local addresses are reached."""
        self._memo: Memo[tuple[Address, Address | None, Address], Resolution | None] = Memo(_MEMO_LIMIT)
        self._own: frozenset[Address] = frozenset()
        self.addresses: frozenset[Address] = frozenset()
        """The router's own addresses, link-local ones excepted."""
        self.networks = Spaces()
        """The router's connected networks, link-local ones excepted."""
        self._lengths: dict[Address, int] = {}
        """The longest of the networks on its own interfaces that each of `addresses` lies in: 0 for none."""

    @property
    def onlink(self) -> set[Gateway]:
        """The gateways that are on the link only because a route says so: their nexthop objects must say it, too."""
        return self._ways.onlink

    @property
    def addresses_by_link(self) -> dict[int, tuple[Address, ...]]:
        """The router's own addresses by interface index, link-local ones too."""
        return {index: link.addresses for index, link in self.interfaces.items() if link.addresses}

    def update(
        self,
        interfaces: tuple[Interface, ...],
        foreign: ForeignRoutes | None = None,
        objects: Iterable[KernelNexthop | KernelGroup] | None = None,
    ) -> Moved:
        """Take over a dump of interfaces, and of foreign routes and nexthop objects unless these are None; tell which
        addresses are reached otherwise now, or are the router's own."""
        if objects is not None:
            self.foreign.replace_objects(objects)
        if foreign is not None:
            self.foreign.replace_routes(foreign)
        before, self.interfaces = self.interfaces, {interface.index: interface for interface in interfaces}
        own, ipv6, up = set[Address](), self._ipv6, self._ways.up
        if self.interfaces != before:
            own = _addresses_that_differ(before, self.interfaces)
            self._links_changed()
        if self._ipv6 != ipv6:
            self._ways.forget()  # for link-local addresses it is not the way that counts
            return self._told(Moved(any=True))
        same = foreign is None and self._ways.up == up
        moved = self._ways.objects_changed() if same else self._ways.changed()
        return self._told(moved._replace(addresses=moved.addresses | own))

    def apply(self, changes: Iterable[RouteChange | NexthopChange]) -> Moved:
        """Take over what the kernel told of foreign routes and nexthops; tell as `update` does."""
        return self._told(self._ways.apply(changes))

    def correct(self, found: ForeignRoutes, since: Iterable[RouteChange | NexthopChange]) -> Moved:
        """Take over where an audit found other foreign routes; tell as `update` does."""
        return self._told(self._ways.correct(found, since))

    def _told(self, moved: Moved) -> Moved:
        """Remember no resolution that may be old now."""
        if moved:
            self._memo.clear()
        return moved

    def _links_changed(self) -> None:
        links = self.interfaces.values()
        self._ways.up = frozenset(link.index for link in links if link.up)
        self._ipv6 = frozenset(link.index for link in links if link.up and any(len(a) == 16 for a in link.addresses))
        self._own = frozenset(address for link in links for address in link.addresses)
        self.addresses = frozenset(address for address in self._own if not is_link_local(address))
        self.networks = Spaces(n for link in links for n in link.networks if not is_link_local(Address(n[1:])))
        self._lengths = dict.fromkeys(self.addresses, 0)
        for link in links:
            networks = Spaces(link.networks)
            for address in self.addresses.intersection(link.addresses):
                lengths = (network[0] for network in networks.around(address))
                self._lengths[address] = max((self._lengths[address], *lengths))

    def resolve(self, next_hop: Address, link_local: Address | None, peer: Address) -> Resolution | None:
        """Resolve a next hop announced by the peer at `peer`; None when nothing leads there.

        An IPv6 next hop that cannot be used as it is (IPv4-mapped, or absent) falls back to the link-local
        address on the peer's link, as RFC 2545 section 3 pairs them.
        """
        key = (next_hop, link_local, peer)
        if (known := self._memo.get(key)) is not None or key in self._memo:
            return known
        return self._memo.remember(key, self._resolve(next_hop, link_local, peer, self._ways.to), 400)

    def look(self, next_hop: Address, link_local: Address | None, peer: Address) -> Resolution | None:
        """Resolve as `resolve` does, for somebody who does not want to hear when the way changes."""
        key = (next_hop, link_local, peer)
        return self._memo[key] if key in self._memo else self._resolve(*key, self._ways.seek)

    def _resolve(
        self, next_hop: Address, link_local: Address | None, peer: Address, way: Callable[[Address], Way]
    ) -> Resolution | None:
        usable = next_hop
        if unmap(next_hop) != next_hop or not any(next_hop):
            # An IPv4-mapped or absent address: the kernel cannot route IPv6 by an IPv4 gateway.
            if link_local is None:
                return None
            usable = link_local
        if usable in self._own:
            return None  # the router itself
        if is_link_local(usable):
            link = _link(way(peer), peer)
            return Resolution((Gateway(usable, link),), 0) if link is not None and self._has_ipv6(link) else None
        return way(usable).leads_to

    def is_up(self, index: int) -> bool:
        """Tell whether an interface is up, with carrier."""
        return index in self._ways.up

    def name_of(self, index: int) -> str:
        """Return the name of the interface with this index, the index if it has gone."""
        interface = self.interfaces.get(index)
        return str(index) if interface is None else interface.name

    def reaches(self, gateway: Gateway) -> bool:
        """Tell whether anything leads to a gateway: a route, or its link alone."""
        if is_link_local(gateway.address):
            return self._has_ipv6(gateway.ifindex)
        if gateway in self.onlink:
            return gateway.ifindex in self._ways.up
        return self._ways.to(gateway.address).leads_to is not None

    def _has_ipv6(self, index: int) -> bool:
        """Tell whether an interface is up and speaks IPv6: then a link-local address of its scope is on the link."""
        return index in self._ipv6

    def leads(self, address: Address) -> int:
        """Return the length of the longest prefix that leads to an address, 0 if none but the default route does. An
        address of the router's own counts as part of its network, even where no route leads to that, as on `lo`."""
        return self._leads(address, self._ways.to(address))

    def look_leads(self, address: Address) -> int:
        """Return what `leads` does, for somebody who does not want to hear when it changes."""
        return self._leads(address, self._ways.seek(address))

    def _leads(self, address: Address, way: Way) -> int:
        return max(way.bits, self._lengths.get(address, 0))

    def link_of(self, peer: Address) -> int | None:
        """Return the index of the interface whose network holds the peer; None when it is not on a link."""
        return _link(self._ways.to(peer), peer)

    def address_beside(self, local: Address, size: int) -> Address | None:
        """Return an address of `size` bytes on the interface that holds `local`, a global one if possible."""
        for interface in self.interfaces.values():
            if local in interface.addresses:
                beside = [address for address in interface.addresses if len(address) == size]
                beside.sort(key=is_link_local)
                return local if len(local) == size else next(iter(beside), None)
        return local if len(local) == size else None


def _link(way: Way, peer: Address) -> int | None:
    """Return the interface of the way to a peer; None if it is not on a link."""
    found = way.leads_to
    return found.gateway.ifindex if found is not None and found.gateway.address == peer else None


def _addresses_that_differ(before: dict[int, Interface], after: dict[int, Interface]) -> set[Address]:
    """Return the router's addresses on interfaces where it has others now, or other networks."""
    found = set[Address]()
    for index in before.keys() | after.keys():
        old, new = (links.get(index) for links in (before, after))
        if old is None or new is None or (old.addresses, old.networks) != (new.addresses, new.networks):
            found.update(address for link in (old, new) if link is not None for address in link.addresses)
    return found
