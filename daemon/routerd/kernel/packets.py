"""How many packets each member of each nexthop group has been chosen for: the kernel's group statistics.

Linux counts them since 6.9 (NHA_GROUP_STATS, uapi/linux/nexthop.h), for IPv4 and IPv6 alike, anew whenever a group is
replaced. It does not count the IPv4 packets of a group with a single member, which it sends past the group.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Container

from routerd.kernel import wire

_NHA_ID, _NHA_GROUPS, _NHA_OP_FLAGS, _NHA_GROUP_STATS = 1, 9, 14, 15
_U32 = struct.Struct("=I")
_GROUPS_WITH_STATISTICS = bytes(8) + wire.attribute(_NHA_GROUPS, b"") + wire.attribute(_NHA_OP_FLAGS, _U32.pack(1))
"""struct nhmsg; groups alone; NHA_OP_FLAG_DUMP_STATS."""
_NHMSG = 8
_ENTRY = struct.Struct("=HHHHIHH")
"""The head of an entry: its own length and type, NHA_GROUP_STATS_ENTRY_ID with the nexthop id, and the length and
type of NHA_GROUP_STATS_ENTRY_PACKETS, which has four octets, or eight where those are too few."""

Packets = dict[int, dict[int, int]]
"""By the id of a group, and by that of a nexthop object in it."""


def packets(own: Container[int]) -> Packets:
    """Return the packets of the groups whose ids are `own`; nothing from kernels that do not count. A dump: 1 us a
    member. Blocking, for a thread; OSError if netlink fails."""
    found: Packets = {}
    for data, start, end in wire.dump(wire.RTM_GETNEXTHOP, _GROUPS_WITH_STATISTICS):
        attributes = wire.attributes(data, start + _NHMSG, end)
        (id,) = _U32.unpack(attributes[_NHA_ID])
        if id in own and (statistics := attributes.get(_NHA_GROUP_STATS)) is not None:
            found[id] = _members(statistics)
    return found


def _members(statistics: bytes) -> dict[int, int]:
    members: dict[int, int] = {}
    at = 0
    while at < len(statistics):
        length, _, _, _, nexthop, size, _ = _ENTRY.unpack_from(statistics, at)
        begin = at + _ENTRY.size
        members[nexthop] = int.from_bytes(statistics[begin : begin + size - 4], sys.byteorder)
        at += (length + 3) & ~3
    return members
