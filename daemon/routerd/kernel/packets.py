"""How many packets each member of each nexthop group has been chosen for: the kernel's group statistics.

Linux counts them since 6.9 (NHA_GROUP_STATS, uapi/linux/nexthop.h), for IPv4 and IPv6 alike, anew whenever a group is
replaced. It does not count the IPv4 packets of a group with a single member, which it sends past the group.
"""

from __future__ import annotations

import struct
import sys
import time
from collections.abc import Container

from routerd.core.message import Gateway
from routerd.core.message.flow import Reading
from routerd.core.route import Address
from routerd.kernel import wire

_NHA_ID, _NHA_OIF, _NHA_GATEWAY, _NHA_GROUPS, _NHA_OP_FLAGS, _NHA_GROUP_STATS = 1, 5, 6, 9, 14, 15
_U32 = struct.Struct("=I")
_NHMSG = 8
_WITH_STATISTICS = bytes(_NHMSG) + wire.attribute(_NHA_OP_FLAGS, _U32.pack(1))
"""struct nhmsg; NHA_OP_FLAG_DUMP_STATS."""
_GROUPS_ALONE = wire.attribute(_NHA_GROUPS, b"")
_ENTRY = struct.Struct("=HHHHIHH")
"""The head of an entry: its own length and type, NHA_GROUP_STATS_ENTRY_ID with the nexthop id, and the length and
type of NHA_GROUP_STATS_ENTRY_PACKETS, which has four octets, or eight where those are too few."""

Packets = dict[int, dict[int, int]]
"""By the id of a group, and by that of a nexthop object in it."""


def packets(own: Container[int]) -> Packets:
    """Return the packets of the groups whose ids are `own`; nothing from kernels that do not count. A dump: 1 us a
    member. Blocking, for a thread; OSError if netlink fails."""
    found: Packets = {}
    for data, start, end in wire.dump(wire.RTM_GETNEXTHOP, _WITH_STATISTICS + _GROUPS_ALONE):
        attributes = wire.attributes(data, start + _NHMSG, end)
        (id,) = _U32.unpack(attributes[_NHA_ID])
        if id in own and (statistics := attributes.get(_NHA_GROUP_STATS)) is not None:
            found[id] = _members(statistics)
    return found


def read() -> Reading:
    """Read all counters, and where the nexthop objects lead: a millisecond for 500 groups. Blocking; OSError if
    netlink fails."""
    packets: dict[int, dict[int, int]] = {}
    gateways: dict[int, Gateway] = {}
    for data, start, end in wire.dump(wire.RTM_GETNEXTHOP, _WITH_STATISTICS):
        found = wire.attributes(data, start + _NHMSG, end)
        (id,) = _U32.unpack(found[_NHA_ID])
        if _NHA_GATEWAY in found:
            gateways[id] = Gateway(Address(found[_NHA_GATEWAY]), *_U32.unpack(found[_NHA_OIF]))
        elif _NHA_GROUP_STATS in found and len(counted := _members(found[_NHA_GROUP_STATS])) > 1:
            packets[id] = counted
    return Reading(time.monotonic(), packets, gateways)


def _members(statistics: bytes) -> dict[int, int]:
    members: dict[int, int] = {}
    at = 0
    while at < len(statistics):
        length, _, _, _, nexthop, size, _ = _ENTRY.unpack_from(statistics, at)
        begin = at + _ENTRY.size
        members[nexthop] = int.from_bytes(statistics[begin : begin + size - 4], sys.byteorder)
        at += (length + 3) & ~3
    return members
