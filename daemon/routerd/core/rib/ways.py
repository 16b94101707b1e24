"""The ways to addresses, over everybody's routes of the main table but routerd's own, and which of them changed.

As the kernel would: the longest match, then the lowest metric. A route of type blackhole, unreachable, prohibit or
throw ends the search with nothing. A route whose interfaces are all down or without carrier is passed over. The
default route leads nowhere: a node that only the default route reaches is not where it should be.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from routerd.core.message import ForeignRoutes, Gateway, NexthopChange, RouteChange
from routerd.core.rib.foreign import ForeignTable
from routerd.core.route import Address, Prefix

RTN_UNICAST = 1

LIMIT = 65536
"""Addresses whose way is watched. With more, every change may concern one."""
FEW = 1024
"""Watched addresses of which it does not matter whether somebody still asks for them."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where a next hop leaves the router. `metric` is that of the route to it, 0 on the link (step 7). `onlink` are
    the gateways that are on the link only because the route says so."""

    gateways: tuple[Gateway, ...]
    metric: int
    onlink: tuple[Gateway, ...] = field(default=(), compare=False)

    @property
    def gateway(self) -> Gateway:
        """The first of the gateways, which is nearly always the only one."""
        return self.gateways[0]


class Way(NamedTuple):
    """The length of the prefix that a lookup ends at, 0 for none, and where that leads. `by_object`: a nexthop object
    or group was looked up for it."""

    bits: int
    leads_to: Resolution | None
    by_object: bool

    @property
    def onlink(self) -> tuple[Gateway, ...]:
        """The gateways on the way that are on the link only by say-so."""
        return () if self.leads_to is None else self.leads_to.onlink


class Moved(NamedTuple):
    """The watched `addresses` that are reached otherwise now; or `any` may be, and whoever uses one is to ask again.
    True if there is anything to tell."""

    addresses: Set[Address] = frozenset()
    any: bool = False

    def __bool__(self) -> bool:
        return self.any or bool(self.addresses)


class Ways:
    """Looks ways up, and watches the addresses that somebody wants to hear of. `up` are the interfaces that are up.

    `onlink` has the gateways that are on the link only because a route says so.
    """

    def __init__(self) -> None:
        self.foreign = ForeignTable()
        self.up: frozenset[int] = frozenset()
        self.onlink: set[Gateway] = set()
        self._watched: dict[Address, Way] = {}
        """The ways as they are."""
        self._unwatched = False
        """Whether somebody uses an address for which there was no room."""
        self._crowd = FEW
        """Of more than so many, some may be watched in vain."""
        self._in_order: dict[int, list[Address]] = {4: [], 16: []}
        """The watched addresses by size, those of a network beside each other."""

    def to(self, address: Address) -> Way:
        """Return the way to an address, and watch it from now on."""
        return self._watched.get(address) or self._watch(address)

    def seek(self, address: Address) -> Way:
        """Look the way to an address up, for somebody who does not want to hear when it changes."""
        by_object = False
        for bits, route in self.foreign.matches(address):
            if route.kind != RTN_UNICAST:
                return Way(bits, None, by_object)
            by_object = by_object or bool(route.nexthop)
            legs = [leg for leg in self.foreign.legs(route) if leg.ifindex in self.up or not leg.ifindex]
            if not legs:
                continue
            if not all(leg.ifindex for leg in legs):
                return Way(bits, None, by_object)  # a nexthop object that is a blackhole
            gateways = {Gateway(address if leg.gateway is None else leg.gateway, leg.ifindex): leg for leg in legs}
            onlink = tuple([gateway for gateway, leg in gateways.items() if leg.onlink])
            connected = all(leg.gateway is None for leg in legs)
            return Way(bits, Resolution(tuple(gateways), 0 if connected else route.metric, onlink), by_object)
        return Way(0, None, by_object)

    def changed(self) -> Moved:
        """Links, or the routes as a whole, are others: return which addresses are reached otherwise."""
        return self._told(self._look_again(self._watched))

    def objects_changed(self) -> Moved:
        """Nexthop objects and groups may be others: return as `changed` does."""
        return self._told(self._look_again(self._by_object()))

    def apply(self, changes: Iterable[RouteChange | NexthopChange]) -> Moved:
        """Take over what the kernel told of foreign routes and nexthops; return as `changed` does."""
        concerned, objects = set[Address](), False
        for change in changes:
            self.foreign.apply(change)
            if isinstance(change, RouteChange):
                concerned.update(self._inside(change.prefix))
            else:
                objects = True
        if objects:
            concerned.update(self._by_object())
        return self._told(self._look_again(concerned))

    def correct(self, found: ForeignRoutes, since: Iterable[RouteChange | NexthopChange]) -> Moved:
        """Take over where an audit found other routes (`ForeignTable.correct`); return as `changed` does."""
        concerned = set[Address]()
        for prefix in self.foreign.correct(found, since):
            concerned.update(self._inside(prefix))
        return self._told(self._look_again(concerned))

    def _by_object(self) -> list[Address]:
        return [address for address, way in self._watched.items() if way.by_object]

    def forget(self) -> None:
        """Watch nothing any more: whoever uses an address is to ask again, in time. Gateways that are on the link by
        say-so are in use until then."""
        self._crowd = max(FEW, 2 * len(self._watched))
        self._unwatched = False
        ways = ((address, self.seek(address)) for address, way in self._watched.items() if way.onlink)
        self._watched = {address: way for address, way in ways if way.onlink}
        for size in self._in_order:
            self._in_order[size] = sorted(address for address in self._watched if len(address) == size)
        self._flag()

    def _watch(self, address: Address) -> Way:
        way = self.seek(address)
        self.onlink.update(way.onlink)
        if len(self._watched) >= LIMIT:
            self._unwatched = True
            return way
        self._watched[address] = way
        insort(self._in_order[len(address)], address)
        return way

    def _inside(self, prefix: Prefix) -> list[Address]:
        """Return the watched addresses inside a prefix; none for a default route, which leads nowhere."""
        bits, first = prefix[0], prefix[1:]
        if not bits:
            return []
        last = int.from_bytes(first, "big") | (1 << 8 * len(first) - bits) - 1
        addresses = self._in_order[len(first)]
        start = bisect_left(addresses, first)
        return addresses[start : bisect_right(addresses, last.to_bytes(len(first), "big"), start)]

    def _look_again(self, addresses: Iterable[Address]) -> set[Address]:
        """Look the ways to watched addresses up again; return those to which another one leads now."""
        moved, flagged = set[Address](), False
        for address in addresses:
            before, way = self._watched[address], self.seek(address)
            self._watched[address] = way
            flagged = flagged or before.onlink != way.onlink
            if way[:2] != before[:2]:
                moved.add(address)
        if flagged:
            self._flag()
        return moved

    def _flag(self) -> None:
        self.onlink = {gateway for way in self._watched.values() for gateway in way.onlink}

    def _told(self, moved: set[Address]) -> Moved:
        """Return what is to be told. Of many that are watched, those go that are in vain, if something is to be told
        anyway."""
        if not self._unwatched and not (moved and len(self._watched) > self._crowd):
            if moved:  # it was raised by those that were watched in vain, too
                self._crowd = max(FEW, min(self._crowd, 4 * len(self._watched)))
            return Moved(moved)
        self.forget()
        return Moved(any=True)
