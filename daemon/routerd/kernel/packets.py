"""How many packets the members of nexthop groups have carried: the kernel's group statistics, Linux 6.9 and later.

The kernel counts from when a group was last written, and not at all those of a single member. Source:
linux/nexthop.h, NHA_GROUP_STATS.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Iterator

from routerd.core.message import Gateway
from routerd.core.message.flow import Reading
from routerd.core.route import Address
from routerd.kernel import wire

_NHMSG_SIZE = 8
_OP_FLAGS = wire.attribute(14, struct.pack("=I", 1))
"""NHA_OP_FLAGS: NHA_OP_FLAG_DUMP_STATS."""
_NHA_ID, _NHA_GROUP, _NHA_OIF, _NHA_GATEWAY, _NHA_GROUP_STATS = 1, 2, 5, 6, 15
_ENTRY_ID, _ENTRY_PACKETS = 1, 2


def read() -> Reading:
    """Read all counters: a millisecond for 500 groups. Blocking; OSError if netlink fails."""
    packets: dict[int, dict[int, int]] = {}
    gateways: dict[int, Gateway] = {}
    for data, start, end in wire.dump(wire.RTM_GETNEXTHOP, bytes(_NHMSG_SIZE) + _OP_FLAGS):
        found = wire.attributes(data, start + _NHMSG_SIZE, end)
        id_ = _number(found[_NHA_ID])
        if _NHA_GROUP not in found:
            if _NHA_GATEWAY in found:
                gateways[id_] = Gateway(Address(found[_NHA_GATEWAY]), _number(found[_NHA_OIF]))
        elif _NHA_GROUP_STATS in found:
            counted = dict(_entries(found[_NHA_GROUP_STATS]))
            if len(counted) > 1:
                packets[id_] = counted
    return Reading(time.monotonic(), packets, gateways)


def _entries(nested: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at + 4 <= len(nested):
        (length,) = struct.unpack_from("=H", nested, at)
        entry = wire.attributes(nested, at + 4, at + length)
        yield _number(entry[_ENTRY_ID]), _number(entry[_ENTRY_PACKETS])
        at += (length + 3) & ~3


def _number(octets: bytes) -> int:
    return int.from_bytes(octets, sys.byteorder)
