"""The kernel's state in one go: links, addresses, nexthops, groups and the routes of the main table.

Blocking, 0.2 s at 100,000 routes; `audit` is for the event loop.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from socket import AF_INET, AF_INET6

from routerd.core.message import (
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
from routerd.kernel.shadow import hide

_ATTEMPTS = 20

_IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS = 29, 1 << 3
_ALL_LINKS = bytes(16) + wire.attribute(_IFLA_EXT_MASK, struct.pack("=I", _RTEXT_FILTER_SKIP_STATS))
"""struct ifinfomsg and a mask: statistics are most of a link message, and nobody reads them here."""

_LENGTHS = tuple(bytes([bits]) for bits in range(129))


def _head(size: int, kind: int) -> int:
    value: int = struct.unpack("=I", struct.pack("=HH", size, kind))[0]
    return value


_TABLE, _PRIORITY, _NH_ID = _head(8, 15), _head(8, 6), _head(8, 30)
_DST: dict[int, int] = {AF_INET: _head(8, 1), AF_INET6: _head(20, 1)}
_OWN: dict[int, struct.Struct] = {
    AF_INET: struct.Struct("=xB3xB6x I4x I4s II II"),
    AF_INET6: struct.Struct("=xB3xB6x I4x I16s II II"),
}
"""How routes with a nexthop id look: struct rtmsg, RTA_TABLE, RTA_DST, RTA_PRIORITY, RTA_NH_ID, in this order."""


def dump(metric: int) -> KernelDump:
    """Read everything that routerd looks at. `metric` tells its own routes, of protocol bgp, from foreign ones.

    The parts are read one after the other: what is written meanwhile may be in some and not in others. Raises
    OSError if netlink fails, DumpInterruptedError if the nexthops change so fast that no dump of them is whole.
    """
    routes: dict[Prefix, int] = {}
    foreign: ForeignRoutes = {}
    for family in (AF_INET, AF_INET6):
        _read_routes(family, metric, routes, foreign)
    nexthops, groups, shadows = _nexthops()
    return KernelDump(_interfaces(), nexthops, groups, routes, foreign, shadows)


def objects() -> KernelObjects:
    """Read all but the routes: a few milliseconds, for when a link or a nexthop has changed. Raises as `dump`."""
    nexthops, groups, _ = _nexthops()
    return KernelObjects(_interfaces(), nexthops, groups)


def main_table(family: int, protocol: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Dump the routes of the main table; the kernel filters, by `protocol` too if it is not 0."""
    body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, wire.RT_TABLE_MAIN, protocol, 0, 0, 0)
    try:
        yield from wire.dump(wire.RTM_GETROUTE, body)
    except OSError as error:
        # A namespace that never had a route of this family has no table either.
        if error.errno != errno.ENOENT:
            raise


def is_own(route: ForeignRoute, metric: int) -> bool:
    """Tell whether a route bears routerd's marks."""
    return route.protocol == wire.RTPROT_BGP and route.metric == metric


def _read_routes(family: int, metric: int, routes: dict[Prefix, int], foreign: ForeignRoutes) -> None:
    layout, dst_head = _OWN[family], _DST[family]
    unpack, size = layout.unpack_from, layout.size
    parser = parse.RouteParser()
    for data, start, end in main_table(family):
        if end - start >= size:
            bits, protocol, table, dst, address, priority, value, nh_id, nexthop = unpack(data, start)
            if (
                protocol == wire.RTPROT_BGP
                and value == metric
                and table == _TABLE
                and dst == dst_head
                and priority == _PRIORITY
                and nh_id == _NH_ID
            ):
                routes[_LENGTHS[bits] + address] = nexthop
                continue
        prefix, found = parser.parse(data, start, end)
        if found and is_own(found[0], metric):
            routes[prefix] = found[0].nexthop
        elif found and not parse.is_scoped(prefix):
            foreign[prefix] = foreign[prefix] + found if prefix in foreign else found


def _interfaces() -> tuple[Interface, ...]:
    addresses: dict[int, list[Address]] = {}
    networks: dict[int, dict[Prefix, None]] = {}
    for data, start, end in wire.dump(wire.RTM_GETADDR, bytes(8)):
        found = parse.address(data, start, end)
        addresses.setdefault(found.ifindex, []).append(found.address)
        if found.network is not None:
            networks.setdefault(found.ifindex, {})[found.network] = None
    return tuple(
        Interface(index, name, up, tuple(addresses.get(index, ())), tuple(networks.get(index, ())))
        for index, name, up in (parse.link(*message) for message in wire.dump(wire.RTM_GETLINK, _ALL_LINKS))
    )


def _nexthops() -> tuple[tuple[KernelNexthop, ...], tuple[KernelGroup, ...], dict[int, int]]:
    for _ in range(_ATTEMPTS):
        try:
            messages = list(wire.dump(wire.RTM_GETNEXTHOP, bytes(8), consistent=True))
        except wire.DumpInterruptedError:
            continue
        found = [parse.nexthop(*message) for message in messages]
        return hide(
            [entry for entry in found if isinstance(entry, KernelNexthop)],
            [entry for entry in found if isinstance(entry, KernelGroup)],
        )
    raise wire.DumpInterruptedError(errno.EINTR, f"nexthops changed during each of {_ATTEMPTS} dumps")
