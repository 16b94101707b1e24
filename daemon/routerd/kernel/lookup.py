"""What the kernel has right now for one prefix, and which flows sit in which bucket: for people who look."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from routerd.core.message import PROTOCOLS, KernelGroup, KernelLeg, KernelNexthop, KernelRoute, Member
from routerd.core.route import IPV4_PREFIX_SIZE, Address, Prefix, format_address, parse_address
from routerd.kernel import messages, parse, wire
from routerd.kernel.dump import main_table
from routerd.kernel.parse import prefix_of

_RTM_F_LOOKUP_TABLE, _RTM_F_FIB_MATCH = 0x1000, 0x2000
_RTA_DST = 1
_U32 = struct.Struct("=I")
_NHA_ID, _NHA_RES_BUCKET = 1, 13
_BUCKET_NH_ID = 3
_BUCKET = struct.Struct("=16x8x8x4x4xH2x4xI4xQ")
"""How kernels write a bucket: struct nlmsghdr and nhmsg, NHA_ID, and nested index, nexthop id and idle time."""
_STATISTICS = wire.attribute(14, struct.pack("=I", 1))
"""NHA_OP_FLAGS: NHA_OP_FLAG_DUMP_STATS."""
_ASKED_AT_ONCE, _ANSWER_SIZE = 32, 8192
"""Questions in one send, and what an answer takes of the receive buffer, generously."""
_BUCKET_HEAD, _OWNER, _IDLE, _INDEX_FIRST = 36, 48, 56, struct.pack("=HH", 6, 1)
_NHA_GROUP_STATS, _STATS_ENTRY_PACKETS = 15, 2
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


def ask(prefix: Prefix) -> bytes:
    """Have the kernel look up the first address of a prefix; OSError if that does not end at a route to anywhere. If
    that is a route of a resilient group the bucket counts as used from then on."""
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
    body = _of_group(group)
    if nexthop is not None:
        chosen = wire.attribute(_BUCKET_NH_ID, struct.pack("=I", nexthop))
        body += wire.attribute(_NHA_RES_BUCKET | _NESTED, chosen)
    found: list[Bucket] = []
    for data, size, end in wire.dump_alike(wire.RTM_GETNEXTHOPBUCKET, body):
        if not _is_usual(data, size):
            return [_bucket(*message) for message in wire.dump(wire.RTM_GETNEXTHOPBUCKET, body)]
        found += [(index, id, idle / messages.TICKS) for index, id, idle in _BUCKET.iter_unpack(data[:end])]
    return found


def nexthop(id_: int) -> KernelNexthop | KernelGroup:
    """Return a nexthop object or group. Raises OSError: ENOENT for an unknown one."""
    answer = wire.query(messages.get_nexthop(id_))
    return parse.nexthop(answer, wire.HEADER.size, len(answer))


def owners(group: int) -> list[int]:
    """Return the nexthop id of each bucket of a resilient group, by index. Raises OSError as `buckets` does."""
    found: list[int] = []
    for data, size, end in wire.dump_alike(wire.RTM_GETNEXTHOPBUCKET, _of_group(group)):
        if not _is_usual(data, size):
            return [id for _, id, _ in buckets(group)]
        found += memoryview(data[:end]).cast("I")[_OWNER // 4 :: size // 4].tolist()
    return found


def reading(group: int) -> tuple[list[int], list[float]]:
    """Return the nexthop id of each bucket of a resilient group, by index, and for how many seconds each is idle.

    Raises OSError as `buckets` does."""
    owners, idle = list[int](), list[float]()
    for data, size, end in wire.dump_alike(wire.RTM_GETNEXTHOPBUCKET, _of_group(group)):
        if not _is_usual(data, size):
            found = buckets(group)
            return [id for _, id, _ in found], [seconds for _, _, seconds in found]
        view = memoryview(data[:end])
        owners += view.cast("I")[_OWNER // 4 :: size // 4].tolist()
        ticks = view.cast("Q")[_IDLE // 8 :: size // 8].tolist()
        seconds = {time: time / messages.TICKS for time in set(ticks)}  # few: most are as old as their neighbours
        idle += map(seconds.__getitem__, ticks)
    return owners, idle


def _of_group(group: int) -> bytes:
    return bytes(8) + wire.attribute(_NHA_ID, _U32.pack(group))


def _is_usual(data: bytes, size: int) -> bool:
    """Tell whether a message about a bucket is written as `_BUCKET` has it."""
    return size == _BUCKET.size and data[_BUCKET_HEAD : _BUCKET_HEAD + 4] == _INDEX_FIRST


def _bucket(data: bytes, start: int, end: int) -> Bucket:
    nested = wire.attributes(data, start + 8, end)[_NHA_RES_BUCKET]
    found = wire.attributes(nested, 0, len(nested))
    index, idle, id = (int.from_bytes(found[kind], sys.byteorder) for kind in (1, 2, 3))
    return index, id, idle / messages.TICKS


def unused(groups: Sequence[int]) -> tuple[int, ...]:
    """Return those of these groups that have carried no packet since they were last written; the kernel does not
    count those of a single member. None before Linux 6.9, which counts nothing. Raises OSError if netlink fails."""
    found: list[int] = []
    with wire.open_socket(receive_buffer=_ASKED_AT_ONCE * _ANSWER_SIZE) as sock:
        for start in range(0, len(groups), _ASKED_AT_ONCE):
            some = groups[start : start + _ASKED_AT_ONCE]
            questions = (wire.request(wire.RTM_GETNEXTHOP, 0, _of_group(id) + _STATISTICS) for id in some)
            sock.send(b"".join(questions))
            answers = [sock.recv(1 << 16) for _ in some]
            found += [id for id, answer in zip(some, answers, strict=True) if _packets(answer) == 0]
    return tuple(found)


def _packets(answer: bytes) -> int | None:
    """Return how many packets a group has carried; None if the kernel does not say so."""
    if wire.HEADER.unpack_from(answer)[1] == wire.NLMSG_ERROR:
        return None  # it is gone, or the kernel does not know the question
    found = wire.attributes(answer, wire.HEADER.size + 8, len(answer)).get(_NHA_GROUP_STATS)
    total, at = 0, 0
    while found is not None and at < len(found):
        (length,) = struct.unpack_from("=H", found, at)
        total += int.from_bytes(wire.attributes(found, at + 4, at + length)[_STATS_ENTRY_PACKETS], sys.byteorder)
        at += (length + 3) & ~3
    return None if found is None else total


def _find(prefix: Prefix) -> Any:
    """Look the prefix's first address up; None if the kernel has no route to exactly this prefix.

    The longest match is the prefix itself, a shorter one (it is absent) or a more specific one that hides it,
    as a route of another table does. Only those need a dump, and IPv6 where it answers with another route that has
    led to the same nexthop: its cache is the nexthop's.
    """
    bits, address = prefix[0], prefix[1:]
    family = socket.AF_INET if len(prefix) == IPV4_PREFIX_SIZE else socket.AF_INET6
    try:
        answer = ask(prefix)
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
        if found["table"] == wire.TABLE and length <= bits and covered:
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
