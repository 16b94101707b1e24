"""Everybody else's routes of the main table, and the nexthop objects that they lead to: what next hops are resolved
with.

It may be the full table of another daemon: a prefix costs one dict entry, routes that say the same are one object,
and a change costs the same however many routes there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from routerd.core.message import (
    ForeignRoute,
    ForeignRoutes,
    KernelGroup,
    KernelNexthop,
    Leg,
    NexthopChange,
    RouteChange,
)
from routerd.core.route import IPV4_PREFIX_SIZE, Address, Prefix


def network_of(address: Address, bits: int) -> Prefix:
    """Return the prefix of `bits` bits that an address lies in."""
    size = len(address)
    spare = size * 8 - bits
    network = int.from_bytes(address, "big") >> spare << spare
    return Prefix(bytes((bits,)) + network.to_bytes(size, "big"))


class ForeignTable:
    """The routes by prefix, and nexthop objects and groups by id, both kept up by `apply`."""

    def __init__(self) -> None:
        self.routes: ForeignRoutes = {}
        self._objects: dict[int, KernelNexthop | KernelGroup] = {}
        self._deleted: set[int] = set()
        """Ids that routes may still lead to here, and not in the kernel, which tells of no IPv4 route that it deletes
        along with its nexthop."""
        self._counts: dict[int, dict[int, int]] = {4: {}, 16: {}}
        """How many prefixes have which length, by the size of their addresses."""
        self._lengths: dict[int, list[int]] = {4: [], 16: []}
        """The lengths, the longest first; none of default routes."""

    def replace_routes(self, routes: ForeignRoutes) -> None:
        """Take over a dump of the routes: from now on it is the table's own."""
        self.routes = routes
        self._deleted.clear()
        self._counts = {4: {}, 16: {}}
        for (octets, bits), count in Counter((len(prefix), prefix[0]) for prefix in routes).items():
            self._counts[octets - 1][bits] = count
        for size in self._counts:
            self._sort(size)

    def correct(self, found: ForeignRoutes, since: Iterable[RouteChange | NexthopChange]) -> list[Prefix]:
        """At these prefixes the kernel was found to have these routes, or none; what was told `since` it began to be
        read counts more. Return the prefixes that have other routes by that."""
        told = {change.prefix for change in since if isinstance(change, RouteChange)}
        objects = {change.id for change in since if isinstance(change, NexthopChange)}
        corrected = [
            prefix
            for prefix, routes in found.items()
            if prefix not in told
            and objects.isdisjoint(route.nexthop for route in (*routes, *self.routes.get(prefix, ())))
        ]
        left = [self.routes.get(prefix, ()) for prefix in found.keys() - set(corrected)]
        self._deleted &= objects | {route.nexthop for routes in left for route in routes}
        for prefix in corrected:
            self._set(prefix, found[prefix])
        return corrected

    def replace_objects(self, objects: Iterable[KernelNexthop | KernelGroup]) -> None:
        """Take over a dump of nexthop objects and groups."""
        found = {each.id: each for each in objects}
        self._deleted |= self._objects.keys() - found.keys()
        self._drop_deleted(found.keys() & self._deleted)
        self._objects = found

    def matches(self, address: Address) -> Iterator[tuple[int, ForeignRoute]]:
        """Yield the routes that lead to an address, each with the length of its prefix: the longest first, then by
        metric. No default route."""
        for bits in self._lengths[len(address)]:
            for route in self.routes.get(network_of(address, bits), ()):
                yield bits, route

    def legs(self, route: ForeignRoute) -> tuple[Leg, ...]:
        """Return where a route leads: nowhere if its nexthop is gone, to interface 0 if that is a blackhole."""
        if not route.nexthop:
            return route.legs
        found = self._objects.get(route.nexthop)
        members = [member.id for member in found.members] if isinstance(found, KernelGroup) else [route.nexthop]
        return tuple(leg_of(single) for id in members if isinstance(single := self._objects.get(id), KernelNexthop))

    def apply(self, change: RouteChange | NexthopChange) -> None:
        """Take over what the kernel told; what is known already changes nothing."""
        if isinstance(change, NexthopChange):
            self._apply_nexthop(change)
            return
        prefix = change.prefix
        before = self.routes.get(prefix, ())
        if change.replaces and change.route.nexthop and change.route in before:
            return  # told of again, as its nexthop object is another one: it stands where it stood
        self._set(prefix, (_ipv4 if len(prefix) == IPV4_PREFIX_SIZE else _ipv6)(before, change))

    def _set(self, prefix: Prefix, routes: tuple[ForeignRoute, ...]) -> None:
        if routes:
            if prefix not in self.routes:
                self._count(prefix, 1)
            self.routes[prefix] = routes
        elif self.routes.pop(prefix, None):
            self._count(prefix, -1)

    def _apply_nexthop(self, change: NexthopChange) -> None:
        if change.now is not None:
            self._drop_deleted(self._deleted & {change.id})
            self._objects[change.id] = change.now
        elif self._objects.pop(change.id, None) is not None:
            self._deleted.add(change.id)

    def _drop_deleted(self, ids: set[int]) -> None:
        """An id is used again: what led to the old object is gone."""
        if not ids:
            return
        self._deleted -= ids
        for prefix, routes in list(self.routes.items()):
            if any(route.nexthop in ids for route in routes):
                self._set(prefix, tuple(route for route in routes if route.nexthop not in ids))

    def _count(self, prefix: Prefix, step: int) -> None:
        size, bits = len(prefix) - 1, prefix[0]
        counts = self._counts[size]
        counts[bits] = counts.get(bits, 0) + step
        if not counts[bits]:
            del counts[bits]
        elif counts[bits] != step:
            return
        self._sort(size)

    def _sort(self, size: int) -> None:
        self._lengths[size] = sorted(self._counts[size].keys() - {0}, reverse=True)


def leg_of(nexthop: KernelNexthop) -> Leg:
    """Return where a nexthop object leads: to interface 0 if it is a blackhole."""
    if nexthop.gateway is None:
        return Leg(None, nexthop.device)
    return Leg(nexthop.gateway.address, nexthop.gateway.ifindex, nexthop.onlink)


def _ipv4(routes: tuple[ForeignRoute, ...], change: RouteChange) -> tuple[ForeignRoute, ...]:
    """Routes of the same metric stand in the order in which they were written; only the first one is used."""
    route = change.route
    same = [each for each in routes if each.metric == route.metric]
    if change.deleted:
        return _without(routes, route if route in same else next(iter(same), None))
    if change.replaces and same:
        same = [route, *(each for each in same[1:] if each != route)]
    elif route not in same:
        same = [*same, route] if change.appended else [route, *same]
    return _in_order(routes, same, route.metric)


def _ipv6(routes: tuple[ForeignRoute, ...], change: RouteChange) -> tuple[ForeignRoute, ...]:
    """Routes of the same metric that have gateways are one route with several legs, and told as one."""
    route = change.route
    same = [each for each in routes if each.metric == route.metric]
    alike = [each for each in same if _joins(each) == _joins(route)]
    if change.deleted:
        if not _joins(route):
            return _without(routes, route if route in alike else next(iter(alike), None))
        for each in alike:
            legs = tuple(leg for leg in each.legs if leg not in route.legs)
            left = [ForeignRoute(each.kind, each.protocol, each.metric, 0, legs)] if legs else []
            same[same.index(each) : same.index(each) + 1] = left
    else:
        gone = alike if _joins(route) else [route]
        if change.replaces:
            gone = [*gone, *(alike or same)[:1]]
        at = next((index for index, each in enumerate(same) if each in gone), len(same))
        same[at:] = [route, *(each for each in same[at:] if each not in gone)]
    return _in_order(routes, same, route.metric)


def _joins(route: ForeignRoute) -> bool:
    """Tell whether an IPv6 route becomes a leg of another one of its metric."""
    return any(leg.gateway is not None for leg in route.legs)


def _without(routes: tuple[ForeignRoute, ...], gone: ForeignRoute | None) -> tuple[ForeignRoute, ...]:
    if gone is None:
        return routes
    at = routes.index(gone)
    return routes[:at] + routes[at + 1 :]


def _in_order(
    routes: tuple[ForeignRoute, ...], same: Iterable[ForeignRoute], metric: int
) -> tuple[ForeignRoute, ...]:
    """Return the routes with those of this metric exchanged."""
    lower = [route for route in routes if route.metric < metric]
    return (*lower, *same, *(route for route in routes if route.metric > metric))
