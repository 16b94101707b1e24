"""The kernel's state in one go: links, addresses, nexthops, groups and the routes of the main table.

Blocking, 0.2 s at 100,000 routes; `audit` is for the event loop.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from socket import AF_INET, AF_INET6

from routerd.config.model import FibSection
from routerd.core.message import (
    RTPROT_BGP,
    ForeignBgp,
    ForeignRoute,
    ForeignRoutes,
    Interface,
    KernelDump,
    KernelGroup,
    KernelNexthop,
    KernelObjects,
)
from routerd.core.route import Address, Prefix
from routerd.kernel import parse, wire

_ATTEMPTS = 20
_TOLD = 5
"""Foreign routes of protocol bgp that are told by name."""

_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS = 29, 1 << 3
ALL_LINKS = bytes(16) + wire.attribute(_IFLA_EXT_MASK, struct.pack("=I", _RTEXT_FILTER_SKIP_STATS))
"""struct ifinfomsg and a mask: statistics are most of a link message, and nobody reads them here."""

_LENGTHS = tuple(bytes([bits]) for bits in range(129))


def _head(size: int, kind: int) -> int:
    value: int = struct.unpack("=I", struct.pack("=HH", size, kind))[0]
    return value


_TABLE, _PRIORITY, _NH_ID = _head(8, 15), _head(8, 6), _head(8, 30)
_DST: dict[int, int] = {AF_INET: _head(8, 1), AF_INET6: _head(20, 1)}
_OWN: dict[int, struct.Struct] = {
    AF_INET: struct.Struct("=xBHxBxB4x I4x I4s II II"),
    AF_INET6: struct.Struct("=xBHxBxB4x I4x I16s II II"),
}
"""How routes with a nexthop id look: struct rtmsg, RTA_TABLE, RTA_DST, RTA_PRIORITY, RTA_NH_ID, in this order. The
second value is not 0 for a route for a source or a type of service."""


def dump(fib: FibSection) -> KernelDump:
    """Read everything that routerd looks at. Routes of protocol bgp with the metric of `fib` that lead to an id of
    its range are routerd's own, all others foreign.

    The parts are read one after the other: what is written meanwhile may be in some and not in others. Raises
    OSError if netlink fails, DumpInterruptedError if the nexthops change so fast that no dump of them is whole.
    """
    routes: dict[Prefix, int] = {}
    foreign: ForeignRoutes = {}
    bgp: list[Prefix] = []
    for family in (AF_INET, AF_INET6):
        _read_routes(family, fib, routes, foreign, bgp)
    singles, groups = nexthops()
    entries: list[KernelNexthop | KernelGroup] = [*singles, *groups]
    objects = sum(entry.protocol == RTPROT_BGP and entry.id not in fib.ids for entry in entries)
    told = ForeignBgp(len(bgp), objects, tuple(bgp[:_TOLD]))
    return KernelDump(_interfaces(), singles, groups, routes, foreign, told)


def objects() -> KernelObjects:
    """Read all but the routes: a few milliseconds, for when a link or a nexthop has changed. Raises as `dump`."""
    return KernelObjects(_interfaces(), *nexthops())


def main_table(family: int, protocol: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Dump the routes of the main table; the kernel filters, by `protocol` too if it is not 0."""
    body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, wire.TABLE, protocol, 0, 0, 0)
    try:
        yield from wire.dump(wire.RTM_GETROUTE, body)
    except OSError as error:
        # A namespace that never had a route of this family has no table either.
        if error.errno != errno.ENOENT:
            raise


def is_own(route: ForeignRoute, fib: FibSection) -> bool:
    """Tell whether a route bears routerd's marks."""
    return route.protocol == RTPROT_BGP and route.metric == fib.metric and route.nexthop in fib.ids


def _read_routes(
    family: int, fib: FibSection, routes: dict[Prefix, int], foreign: ForeignRoutes, bgp: list[Prefix]
) -> None:
    """Part the routes into routerd's and the foreign ones, of which those of protocol bgp are listed, too."""
    metric, ids = fib.metric, fib.ids
    layout, dst_head = _OWN[family], _DST[family]
    unpack, size = layout.unpack_from, layout.size
    parser = parse.RouteParser()
    known: dict[tuple[int, int, int, int], tuple[ForeignRoute]] = {}
    for data, start, end in main_table(family):
        if end - start >= size:
            bits, special, protocol, kind, table, dst, address, priority, value, nh_id, nexthop = unpack(data, start)
            if table == _TABLE and dst == dst_head and priority == _PRIORITY and nh_id == _NH_ID and not special:
                prefix = Prefix(_LENGTHS[bits] + address)
                if nexthop in ids and protocol == RTPROT_BGP and value == metric:
                    routes[prefix] = nexthop
                elif not parse.is_scoped(prefix):
                    # Its legs, which follow in compat mode only, are those of the nexthop.
                    said = kind, protocol, value, nexthop
                    one = known.get(said) or known.setdefault(said, (ForeignRoute(*said, ()),))
                    foreign[prefix] = foreign[prefix] + one if prefix in foreign else one
                    if protocol == RTPROT_BGP:
                        bgp.append(prefix)
                continue
        prefix, found = parser.parse(data, start, end)
        if found and is_own(found[0], fib):
            routes[prefix] = found[0].nexthop
        elif found and not parse.is_scoped(prefix):
            foreign[prefix] = foreign[prefix] + found if prefix in foreign else found
            if found[0].protocol == RTPROT_BGP:
                bgp.append(prefix)


def links() -> Iterator[parse.Link]:
    """Dump the network interfaces. Raises OSError if netlink fails."""
    return (parse.link(*message) for message in wire.dump(wire.RTM_GETLINK, ALL_LINKS))


def addresses() -> Iterator[parse.InterfaceAddress]:
    """Dump the router's own addresses, those included that cannot be used yet. Raises OSError if netlink fails."""
    return (parse.address(*message) for message in wire.dump(wire.RTM_GETADDR, bytes(8)))


def _interfaces() -> tuple[Interface, ...]:
    own: dict[int, list[Address]] = {}
    networks: dict[int, dict[Prefix, None]] = {}
    for index, address, network in addresses():
        own.setdefault(index, []).append(address)
        if network is not None:
            networks.setdefault(index, {})[network] = None
    return tuple(
        Interface(index, name, up, tuple(own.get(index, ())), tuple(networks.get(index, ())))
        for index, name, up, _ in links()
    )


def nexthops() -> tuple[tuple[KernelNexthop, ...], tuple[KernelGroup, ...]]:
    """Read nexthop objects and groups, anybody's. Raises as `dump`."""
    for _ in range(_ATTEMPTS):
        try:
            messages = list(wire.dump(wire.RTM_GETNEXTHOP, bytes(8), consistent=True))
        except wire.DumpInterruptedError:
            continue
        found = [parse.nexthop(*message) for message in messages]
        return (
            tuple(entry for entry in found if isinstance(entry, KernelNexthop)),
            tuple(entry for entry in found if isinstance(entry, KernelGroup)),
        )
    raise wire.DumpInterruptedError(errno.EINTR, f"nexthops changed during each of {_ATTEMPTS} dumps")
