"""Nexthop messages, which pyroute2 lacks, and its route message with the attributes that it does not know.

For what is rare: nexthop objects, groups and single GETs. Source: linux/nexthop.h, linux/rtnetlink.h and kernel
doc networking/nexthop-group-resilient.
"""

from __future__ import annotations

import socket
import struct
from functools import lru_cache
from typing import Any

from routerd.bare import bare
from routerd.core.message import RTPROT_BGP, Gateway, Member, SetGroup
from routerd.kernel import wire

with bare("pyroute2"):  # whose parts for all the rest take 10 MB
    from pyroute2.netlink import NLA_F_NESTED, nla, nla_base_string, nlmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

MULTIPATH, RESILIENT = 0, 1
"""NHA_GROUP_TYPE: hash-threshold and resilient."""

RTNH_F_ONLINK = 4
"""Flag of a nexthop object, and of a route's leg: the gateway is on the link, whatever the routes say."""

TICKS = 100
"""Resilient groups count time in hundredths of a second (USER_HZ)."""

_ENTRY = struct.Struct("=IBBH")
_NHMSG = struct.Struct("=BBBBI")
_U16_ATTRIBUTE, _U32_ATTRIBUTE = struct.Struct("=HHHxx"), struct.Struct("=HHI")
_NHA_ID, _NHA_GROUP, _NHA_GROUP_TYPE, _NHA_BLACKHOLE, _NHA_OIF, _NHA_GATEWAY = 1, 2, 3, 4, 5, 6
_NHA_RES_GROUP = 12
_RES_GROUP_BUCKETS, _RES_GROUP_IDLE_TIMER, _RES_GROUP_UNBALANCED_TIMER = 1, 2, 3

_GROUP = struct.Struct("=IHHII BBBBI HHI HH")
"""struct nlmsghdr, struct nhmsg, NHA_ID, and the header of NHA_GROUP."""
_HASH_THRESHOLD = _U16_ATTRIBUTE.pack(6, _NHA_GROUP_TYPE, MULTIPATH)

WIDE, NARROW = 65535, 256
"""The largest weight of a member, from Linux 6.12 on and before."""


def pack_members(members: tuple[Member, ...]) -> bytes:
    """Return members as an array of struct nexthop_grp: the weight minus one, its low byte first."""
    pack = _ENTRY.pack
    return b"".join([pack(id_, (weight - 1) & 255, (weight - 1) >> 8, 0) for id_, weight in members])


def unpack_members(data: bytes) -> tuple[Member, ...]:
    """Return the members in an array of struct nexthop_grp."""
    return tuple(Member(id_, (high << 8 | low) + 1) for id_, low, high, _ in _ENTRY.iter_unpack(data))


def narrow(members: tuple[Member, ...]) -> tuple[Member, ...]:
    """Scale weights to 1 to 256, for kernels before 6.12 that have one byte for them."""
    heaviest = max((member.weight for member in members), default=0)
    if heaviest <= NARROW:
        return members
    return tuple(Member(m.id, max(1, round(m.weight * NARROW / heaviest))) for m in members)


class NexthopMessage(nlmsg):  # type: ignore[misc]
    """struct nhmsg and its NHA_ attributes. Gateways are raw bytes, groups tuples of `Member`."""

    prefix = "NHA_"
    fields = (
        ("nh_family", "B"),
        ("nh_scope", "B"),
        ("nh_protocol", "B"),
        ("resvd", "B"),
        ("nh_flags", "I"),
    )
    nla_map = (
        ("NHA_UNSPEC", "none"),
        ("NHA_ID", "uint32"),
        ("NHA_GROUP", "Group"),
        ("NHA_GROUP_TYPE", "uint16"),
        ("NHA_BLACKHOLE", "flag"),
        ("NHA_OIF", "uint32"),
        ("NHA_GATEWAY", "cdata"),
        ("NHA_ENCAP_TYPE", "uint16"),
        ("NHA_ENCAP", "hex"),
        ("NHA_GROUPS", "flag"),
        ("NHA_MASTER", "uint32"),
        ("NHA_FDB", "flag"),
        ("NHA_RES_GROUP", "ResilientGroup"),
        ("NHA_RES_BUCKET", "hex"),
    )

    class Group(nla_base_string):  # type: ignore[misc]
        """A tuple of `Member`."""

        def ft_encode(self, offset: int) -> Any:
            self["value"] = pack_members(self["value"])
            return super().ft_encode(offset)

        def ft_decode(self, offset: int) -> None:
            super().ft_decode(offset)
            self.value = unpack_members(self["value"])

    class ResilientGroup(nla):  # type: ignore[misc]
        """Times are hundredths of a second. The kernel insists on the nested flag."""

        nla_flags = NLA_F_NESTED
        nla_map = (
            ("NHA_RES_GROUP_PAD", "none"),
            ("NHA_RES_GROUP_BUCKETS", "uint16"),
            ("NHA_RES_GROUP_IDLE_TIMER", "uint32"),
            ("NHA_RES_GROUP_UNBALANCED_TIMER", "uint32"),
            ("NHA_RES_GROUP_UNBALANCED_TIME", "uint64"),
        )


class RouteMessage(rtmsg):  # type: ignore[misc]
    """pyroute2's route message, whose map ends before RTA_NH_ID: it would drop a nexthop id silently."""

    nla_map = (
        *rtmsg.nla_map,
        ("RTA_PAD", "none"),
        ("RTA_UID", "uint32"),
        ("RTA_TTL_PROPAGATE", "uint8"),
        ("RTA_IP_PROTO", "uint8"),
        ("RTA_SPORT", "be16"),
        ("RTA_DPORT", "be16"),
        ("RTA_NH_ID", "uint32"),
        ("RTA_FLOWLABEL", "be32"),
    )


POLICY: dict[int, Any] = {
    wire.RTM_NEWNEXTHOP: NexthopMessage,
    wire.RTM_DELNEXTHOP: NexthopMessage,
    wire.RTM_GETNEXTHOP: NexthopMessage,
    wire.RTM_NEWROUTE: RouteMessage,
    wire.RTM_DELROUTE: RouteMessage,
    wire.RTM_GETROUTE: RouteMessage,
}
"""Message classes by type, in the shape of pyroute2's `register_policy`."""


def decode(data: bytes) -> Any:
    """Return the decoded message that stands at the start of `data`; KeyError for a type without a policy."""
    message = POLICY[wire.HEADER.unpack_from(data)[1]](data)
    message.decode()
    return message


def _new(flags: int, attributes: bytes, family: int = 0, state: int = 0) -> bytes:
    head = _NHMSG.pack(family, 0, RTPROT_BGP, 0, state)
    return wire.request(wire.RTM_NEWNEXTHOP, flags, head + attributes)


def _number(kind: int, value: int) -> bytes:
    return _U32_ATTRIBUTE.pack(8, kind, value)


def _family(address: bytes) -> int:
    return socket.AF_INET if len(address) == 4 else socket.AF_INET6


def set_nexthop(id_: int, gateway: Gateway | None, flags: int, *, onlink: bool = False) -> bytes:
    """Return a request that makes a nexthop object, a blackhole without `gateway`. `flags` are NLM_F_."""
    state = RTNH_F_ONLINK * onlink
    if gateway is None:
        attributes = _number(_NHA_ID, id_) + wire.attribute(_NHA_BLACKHOLE, b"")
        return _new(flags, attributes, socket.AF_INET, state)
    attributes = (
        _number(_NHA_ID, id_) + _number(_NHA_OIF, gateway.ifindex) + wire.attribute(_NHA_GATEWAY, gateway.address)
    )
    return _new(flags, attributes, _family(gateway.address), state)


def set_group(group: SetGroup, flags: int, sequence: int = 0) -> bytes:
    """Return a request that makes a nexthop group, or replaces its members. `flags` are NLM_F_."""
    members = pack_members(group.members)
    tail = _resilient(group.buckets, group.idle_timer, group.unbalanced_timer) if group.buckets else _HASH_THRESHOLD
    head = _GROUP.pack(
        _GROUP.size + len(members) + len(tail), wire.RTM_NEWNEXTHOP, flags | wire.NLM_F_REQUEST, sequence, 0,
        0, 0, RTPROT_BGP, 0, 0,
        8, _NHA_ID, group.id, 4 + len(members), _NHA_GROUP,
    )  # fmt: skip
    return head + members + tail


@lru_cache(64)
def _resilient(buckets: int, idle_timer: float, unbalanced_timer: float) -> bytes:
    parameters = (
        _U16_ATTRIBUTE.pack(6, _RES_GROUP_BUCKETS, buckets)
        + _number(_RES_GROUP_IDLE_TIMER, round(idle_timer * TICKS))
        + _number(_RES_GROUP_UNBALANCED_TIMER, round(unbalanced_timer * TICKS))
    )
    kind = _U16_ATTRIBUTE.pack(6, _NHA_GROUP_TYPE, RESILIENT)
    return kind + wire.attribute(_NHA_RES_GROUP | NLA_F_NESTED, parameters)


def delete_nexthop(id_: int) -> bytes:
    """Return a request that deletes a nexthop object or group."""
    return wire.request(wire.RTM_DELNEXTHOP, 0, bytes(_NHMSG.size) + _number(_NHA_ID, id_))


def get_nexthop(id_: int) -> bytes:
    """Return a request for one nexthop object or group."""
    return wire.request(wire.RTM_GETNEXTHOP, 0, bytes(_NHMSG.size) + _number(_NHA_ID, id_))
