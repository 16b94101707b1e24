"""What the kernel has right now for one prefix, and which flows sit in which bucket: for people who look."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Any

from routerd.core.message import PROTOCOLS, Diversion, KernelLeg, KernelRoute, Member
from routerd.core.route import IPV4_PREFIX_SIZE, Address, Prefix, format_address, parse_address
from routerd.kernel import messages, wire
from routerd.kernel.dump import main_table
from routerd.kernel.parse import prefix_of

_RTM_F_LOOKUP_TABLE, _RTM_F_FIB_MATCH = 0x1000, 0x2000
_RTA_DST, _RTA_TABLE, _RTA_NH_ID = 1, 15, 30
_U32 = struct.Struct("=I")
_RTMSG_SIZE = 12
_NHA_ID, _NHA_RES_BUCKET = 1, 13
_BUCKET_INDEX, _BUCKET_IDLE_TIME, _BUCKET_NH_ID = 1, 2, 3
_NESTED = 0x8000
_REFUSING = (errno.EHOSTUNREACH, errno.EINVAL, errno.EACCES)
"""How a lookup ends on a route of type unreachable, blackhole or prohibit."""

Bucket = tuple[int, int, float]
"""Index, nexthop id, seconds idle."""


def route(prefix: Prefix) -> KernelRoute | None:
    """Return the main table's route to exactly `prefix`, the one of the lowest metric if there are several.

    Usually one lookup and a GET a member; 0.2 s at 100,000 routes
    only if a more specific route hides the prefix. Raises OSError if netlink fails.
    """
    found = _find(prefix)
    if found is None:
        return None
    nexthop = found.get_attr("RTA_NH_ID")
    return KernelRoute(
        protocol=PROTOCOLS.get(found["proto"], str(found["proto"])),
        metric=found.get_attr("RTA_PRIORITY") or 0,
        nexthop=nexthop or 0,
        legs=tuple(_members(nexthop) if nexthop else _legs(found)),
    )


def diversions(routes: Iterable[tuple[Prefix, int]]) -> Iterator[Diversion]:
    """Yield those of routerd's routes, each with its nexthop id, that the kernel does not use for the first address
    of the prefix, by its rules (`ip rule`) and all of its tables. One lookup each, 25 us.

    Rules for an interface, a sender or a mark do not count: whose packets are meant nobody can say. Nor does a route
    of the main table for the same prefix, which is foreign, or about to be changed; with IPv6 no route of the main
    table does: where routes share a nexthop object the kernel may answer with another one of them.
    """
    for prefix, nexthop in routes:
        try:
            answer = _ask(prefix)
        except OSError as error:
            yield Diversion(prefix, error.errno or 0, 0)
            continue
        found = wire.attributes(answer, wire.HEADER.size + _RTMSG_SIZE, len(answer))
        (table,) = _U32.unpack(found[_RTA_TABLE])
        exact = len(prefix) != IPV4_PREFIX_SIZE or answer[wire.HEADER.size + 1] == prefix[0]
        same = table == wire.RT_TABLE_MAIN and exact
        if not same and found.get(_RTA_NH_ID) != _U32.pack(nexthop):
            yield Diversion(prefix, 0, table)


def _ask(prefix: Prefix) -> bytes:
    """Have the kernel look up the first address of a prefix; OSError if that does not end at a route to anywhere."""
    address, ipv4 = prefix[1:], len(prefix) == IPV4_PREFIX_SIZE
    # Asked so, both families tell the real table; the IPv6 code refuses the flag for what it does anyway.
    flags = _RTM_F_FIB_MATCH | (_RTM_F_LOOKUP_TABLE if ipv4 else 0)
    family = socket.AF_INET if ipv4 else socket.AF_INET6
    body = struct.pack("=BBBBBBBBI", family, len(address) * 8, 0, 0, 0, 0, 0, 0, flags)
    return wire.query(wire.request(wire.RTM_GETROUTE, 0, body + wire.attribute(_RTA_DST, address)))


def buckets(group: int, nexthop: int | None = None) -> list[Bucket]:
    """Return the buckets of a resilient group, of one member if given.

    Raises OSError: ENOENT for an unknown group, EINVAL for one that is not resilient.
    """
    body = bytes(8) + wire.attribute(_NHA_ID, struct.pack("=I", group))
    if nexthop is not None:
        chosen = wire.attribute(_BUCKET_NH_ID, struct.pack("=I", nexthop))
        body += wire.attribute(_NHA_RES_BUCKET | _NESTED, chosen)
    found: list[Bucket] = []
    for data, start, end in wire.dump(wire.RTM_GETNEXTHOPBUCKET, body):
        nested = wire.attributes(data, start + 8, end)[_NHA_RES_BUCKET]
        bucket = wire.attributes(nested, 0, len(nested))
        (index,) = struct.unpack("=H", bucket[_BUCKET_INDEX])
        (idle,) = struct.unpack("=Q", bucket[_BUCKET_IDLE_TIME])
        (holder,) = struct.unpack("=I", bucket[_BUCKET_NH_ID])
        found.append((index, holder, idle / messages.TICKS))
    return found


def _find(prefix: Prefix) -> Any:
    """Look the prefix's first address up; None if the kernel has no route to exactly this prefix.

    The longest match is the prefix itself, a shorter one (it is absent) or a more specific one that hides it,
    as a route of another table does. Only those need a dump, and IPv6 where it answers with another route that has
    led to the same nexthop: its cache is the nexthop's.
    """
    bits, address = prefix[0], prefix[1:]
    family = socket.AF_INET if len(prefix) == IPV4_PREFIX_SIZE else socket.AF_INET6
    try:
        answer = _ask(prefix)
    except OSError as error:
        if error.errno == errno.ENETUNREACH:
            return None
        if error.errno not in _REFUSING:
            raise
    else:
        found = messages.decode(answer)
        length = found["dst_len"]
        there = parse_address(found.get_attr("RTA_DST")) if length else Address(bytes(len(address)))
        covered = prefix_of(address, length) == prefix_of(there, length)
        if found["table"] == wire.RT_TABLE_MAIN and length <= bits and covered:
            return found if length == bits else None
    exact = [
        messages.decode(data[start - wire.HEADER.size : end])
        for data, start, end in main_table(family)
        if data[start + 1] == bits and (bits == 0 or data.find(address, start, end) >= 0)
    ]
    wanted = format_address(Address(address)) if bits else None
    same = [entry for entry in exact if entry.get_attr("RTA_DST") == wanted]
    return min(same, key=lambda entry: entry.get_attr("RTA_PRIORITY") or 0, default=None)


def _members(nexthop: int) -> Iterator[KernelLeg]:
    found = messages.decode(wire.query(messages.get_nexthop(nexthop)))
    for member in found.get_attr("NHA_GROUP") or (Member(nexthop),):
        single = messages.decode(wire.query(messages.get_nexthop(member.id)))
        gateway = single.get_attr("NHA_GATEWAY")
        yield _leg(member.id, Address(gateway) if gateway else None, single.get_attr("NHA_OIF"), member.weight)


def _legs(found: Any) -> Iterator[KernelLeg]:
    """The legs of a route without a nexthop id, which is foreign."""
    for hop in found.get_attr("RTA_MULTIPATH") or ():
        yield _leg(0, _gateway(hop), hop["oif"], hop["hops"] + 1)
    if found.get_attr("RTA_OIF"):
        yield _leg(0, _gateway(found), found.get_attr("RTA_OIF"), 1)


def _gateway(found: Any) -> Address | None:
    text = found.get_attr("RTA_GATEWAY")
    return parse_address(text) if text else None


def _leg(nexthop: int, gateway: Address | None, ifindex: int | None, weight: int) -> KernelLeg:
    return KernelLeg(nexthop, gateway, socket.if_indextoname(ifindex) if ifindex else "", weight)
