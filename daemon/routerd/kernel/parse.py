"""Bytes of links, addresses, nexthops and routes to plain data: what dumps and notifications have in common.

Every function takes a datagram and the bounds of one message's body in it (after struct nlmsghdr).
"""

from __future__ import annotations

import struct
from socket import AF_INET
from typing import NamedTuple

from routerd.core.message import ForeignRoute, Gateway, KernelGroup, KernelNexthop, Leg
from routerd.core.route import Address, Prefix
from routerd.kernel import wire
from routerd.kernel.messages import RTNH_F_ONLINK, TICKS, unpack_members

_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_NHMSG = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")
_RTNEXTHOP = struct.Struct("=HBBi")
_U32 = struct.Struct("=I")

_TABLE_SIZE = 8
_DST_HEADS = {4: struct.pack("=HH", 8, 1), 16: struct.pack("=HH", 20, 1)}
_MEMO_LIMIT = 4096
"""Different routes that are remembered: a message has some hundred bytes, one of many legs a few thousand."""

_IFLA_IFNAME, _IFLA_CARRIER_DOWN_COUNT = 3, 48
_IFF_UP, _IFF_LOWER_UP = 0x1, 0x10000
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_NHA_ID, _NHA_GROUP, _NHA_OIF, _NHA_GATEWAY, _NHA_RES_GROUP = 1, 2, 5, 6, 12
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_MULTIPATH, _RTA_VIA, _RTA_NH_ID = 1, 4, 5, 6, 9, 18, 30


class Link(NamedTuple):
    """A network interface; `up` is administratively up and with carrier, as nexthops need it. `losses` is how often
    one that is up has lost its carrier: the kernel may tell of a loss, with which it has flushed nexthops, when the
    carrier is back."""

    ifindex: int
    name: str
    up: bool
    losses: int = 0


class InterfaceAddress(NamedTuple):
    """An own address and the network that it connects; link-local networks are None: they name no place."""

    ifindex: int
    address: Address
    network: Prefix | None


def prefix_of(address: bytes, bits: int) -> Prefix:
    """Return the prefix of `bits` bits that `address` lies in."""
    spare = len(address) * 8 - bits
    network = int.from_bytes(address, "big") >> spare << spare
    return Prefix(bytes([bits]) + network.to_bytes(len(address), "big"))


def is_scoped(prefix: Prefix) -> bool:
    """Tell whether a prefix is IPv6 link-local (fe80::/10) or multicast (ff00::/8)."""
    return len(prefix) == 17 and (prefix[1] == 0xFF or (prefix[1] == 0xFE and prefix[2] & 0xC0 == 0x80))


def link(data: bytes, start: int, end: int) -> Link:
    """Parse struct ifinfomsg."""
    _, _, index, flags, _ = _IFINFO.unpack_from(data, start)
    found = wire.attributes(data, start + _IFINFO.size, end)
    name = found.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
    up = bool(flags & _IFF_UP and flags & _IFF_LOWER_UP)
    return Link(index, name, up, _u32(found, _IFLA_CARRIER_DOWN_COUNT) if up else 0)


def address(data: bytes, start: int, end: int) -> InterfaceAddress:
    """Parse struct ifaddrmsg. On a point-to-point link the network is the one of the far end."""
    _, bits, _, _, index = _IFADDR.unpack_from(data, start)
    found = wire.attributes(data, start + _IFADDR.size, end)
    far = found.get(_IFA_ADDRESS) or found[_IFA_LOCAL]
    network = prefix_of(far, bits)
    own = Address(found.get(_IFA_LOCAL, far))
    return InterfaceAddress(index, own, None if is_scoped(network) else network)


def nexthop(data: bytes, start: int, end: int) -> KernelNexthop | KernelGroup:
    """Parse struct nhmsg."""
    _, _, protocol, _, flags = _NHMSG.unpack_from(data, start)
    found = wire.attributes(data, start + _NHMSG.size, end)
    id_ = _u32(found, _NHA_ID)
    if _NHA_GROUP not in found:
        device = _u32(found, _NHA_OIF)
        if _NHA_GATEWAY not in found:
            return KernelNexthop(id_, protocol, None, device)
        gateway = Gateway(Address(found[_NHA_GATEWAY]), device)
        return KernelNexthop(id_, protocol, gateway, onlink=bool(flags & RTNH_F_ONLINK))
    members = unpack_members(found[_NHA_GROUP])
    if _NHA_RES_GROUP not in found:
        return KernelGroup(id_, protocol, members)
    resilient = wire.attributes(found[_NHA_RES_GROUP], 0, len(found[_NHA_RES_GROUP]))
    (buckets,) = struct.unpack("=H", resilient[1])
    return KernelGroup(id_, protocol, members, buckets, _u32(resilient, 2) / TICKS, _u32(resilient, 3) / TICKS)


Routes = tuple[ForeignRoute, ...]


class RouteParser:
    """Parses struct rtmsg. What was parsed is remembered by all of the message but its prefix: a full table says the
    same thousands of times, in one object."""

    def __init__(self) -> None:
        self._memo: dict[bytes, Routes] = {}

    def parse(self, data: bytes, start: int, end: int) -> tuple[Prefix, Routes]:
        """Return the prefix of a route and, as a tuple of one, the rest. The tuple is empty for what no next hop is
        resolved with: a route for a type of service, or for a source (IPv6)."""
        family, bits = data[start], data[start + 1]
        size = 4 if family == AF_INET else 16
        at = start + _RTMSG.size + _TABLE_SIZE
        # The kernel writes RTA_TABLE first, then RTA_DST unless the prefix is a default route.
        if data[at : at + 4] == _DST_HEADS[size] and end > at + 4 + size:
            prefix = Prefix(data[start + 1 : start + 2] + data[at + 4 : at + 4 + size])
            key = data[start + 2 : at] + data[at + 4 + size : end]
        elif not bits:
            prefix = Prefix(bytes(1 + size))
            key = data[start + 2 : end]
        else:
            found = wire.attributes(data, start + _RTMSG.size, end)
            return Prefix(bytes([bits]) + found[_RTA_DST]), _routes(data, start, end)
        known = self._memo.get(key)
        if known is None:
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            known = self._memo[key] = _routes(data, start, end)
        return prefix, known


def _routes(data: bytes, start: int, end: int) -> Routes:
    _, _, source, service, _, protocol, _, kind, _ = _RTMSG.unpack_from(data, start)
    if source or service:
        return ()
    found = wire.attributes(data, start + _RTMSG.size, end)
    nexthop, legs = _u32(found, _RTA_NH_ID), tuple[Leg, ...]()
    if nexthop:
        pass  # whether it shows its legs depends on nexthop_compat_mode
    elif _RTA_MULTIPATH in found:
        legs = _multipath(found[_RTA_MULTIPATH])
    elif _RTA_OIF in found:
        legs = (_leg(found, _u32(found, _RTA_OIF), _RTMSG.unpack_from(data, start)[8]),)
    return (ForeignRoute(kind, protocol, _u32(found, _RTA_PRIORITY), nexthop, legs),)


def _multipath(data: bytes) -> tuple[Leg, ...]:
    """Parse an array of struct rtnexthop, each with attributes of its own."""
    legs: list[Leg] = []
    offset = 0
    while offset < len(data):
        length, flags, _, index = _RTNEXTHOP.unpack_from(data, offset)
        legs.append(_leg(wire.attributes(data, offset + _RTNEXTHOP.size, offset + length), index, flags))
        offset += (length + 3) & ~3
    return tuple(legs)


def _leg(found: dict[int, bytes], index: int, flags: int) -> Leg:
    """RTA_VIA carries a gateway of another family (RFC 8950): its family in two bytes, then the address."""
    via = found.get(_RTA_VIA, b"")[2:]
    gateway = found.get(_RTA_GATEWAY, via)
    return Leg(Address(gateway), index, bool(flags & RTNH_F_ONLINK)) if gateway else Leg(None, index)


def _u32(found: dict[int, bytes], kind: int) -> int:
    value: int = _U32.unpack(found[kind])[0] if kind in found else 0
    return value
