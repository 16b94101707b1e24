"""Bytes of links, addresses, nexthops and routes to plain data: what dumps and notifications have in common.

Every function takes a datagram and the bounds of one message's body in it (after struct nlmsghdr).
"""

from __future__ import annotations

import struct
from socket import AF_INET
from typing import NamedTuple

from routerd.core.message import Gateway, KernelGroup, KernelNexthop
from routerd.core.route import Address, Prefix
from routerd.kernel import wire
from routerd.kernel.messages import TICKS, unpack_members

_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_NHMSG = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")
_RTNEXTHOP = struct.Struct("=HBBi")
_U32 = struct.Struct("=I")

_IFLA_IFNAME = 3
_IFF_UP, _IFF_LOWER_UP = 0x1, 0x10000
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_NHA_ID, _NHA_GROUP, _NHA_OIF, _NHA_GATEWAY, _NHA_RES_GROUP = 1, 2, 5, 6, 12
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PRIORITY, _RTA_MULTIPATH, _RTA_VIA, _RTA_NH_ID = 1, 4, 5, 6, 9, 18, 30


class Link(NamedTuple):
    """A network interface; `up` is administratively up and with carrier, as nexthops need it."""

    ifindex: int
    name: str
    up: bool


class InterfaceAddress(NamedTuple):
    """An own address and the network that it connects; link-local networks are None: they name no place."""

    ifindex: int
    address: Address
    network: Prefix | None


class Leg(NamedTuple):
    """A way out: `gateway` is None for a connected network, `ifindex` 0 if there is none."""

    gateway: Address | None
    ifindex: int


class Route(NamedTuple):
    """A route; `nexthop` is its nexthop id or 0, and then `legs` may be empty (nexthop_compat_mode 0)."""

    prefix: Prefix
    protocol: int
    metric: int
    nexthop: int
    legs: tuple[Leg, ...]


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
    name = wire.attributes(data, start + _IFINFO.size, end).get(_IFLA_IFNAME, b"").rstrip(b"\0")
    return Link(index, name.decode(errors="replace"), bool(flags & _IFF_UP and flags & _IFF_LOWER_UP))


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
    _, _, protocol, _, _ = _NHMSG.unpack_from(data, start)
    found = wire.attributes(data, start + _NHMSG.size, end)
    id_ = _u32(found, _NHA_ID)
    if _NHA_GROUP not in found:
        gateway = None
        if _NHA_GATEWAY in found:
            gateway = Gateway(Address(found[_NHA_GATEWAY]), _u32(found, _NHA_OIF))
        return KernelNexthop(id_, protocol, gateway)
    members = unpack_members(found[_NHA_GROUP])
    if _NHA_RES_GROUP not in found:
        return KernelGroup(id_, protocol, members)
    resilient = wire.attributes(found[_NHA_RES_GROUP], 0, len(found[_NHA_RES_GROUP]))
    (buckets,) = struct.unpack("=H", resilient[1])
    return KernelGroup(id_, protocol, members, buckets, _u32(resilient, 2) / TICKS, _u32(resilient, 3) / TICKS)


def route(data: bytes, start: int, end: int) -> Route:
    """Parse struct rtmsg."""
    family, bits, _, _, _, protocol, _, _, _ = _RTMSG.unpack_from(data, start)
    found = wire.attributes(data, start + _RTMSG.size, end)
    destination = found.get(_RTA_DST, bytes(4 if family == AF_INET else 16))
    if _RTA_MULTIPATH in found:
        legs = _multipath(found[_RTA_MULTIPATH])
    elif _RTA_OIF in found:
        legs = (Leg(_gateway(found), _u32(found, _RTA_OIF)),)
    else:
        legs = ()
    prefix = Prefix(bytes([bits]) + destination)
    return Route(prefix, protocol, _u32(found, _RTA_PRIORITY), _u32(found, _RTA_NH_ID), legs)


def _multipath(data: bytes) -> tuple[Leg, ...]:
    """Parse an array of struct rtnexthop, each with attributes of its own."""
    legs: list[Leg] = []
    offset = 0
    while offset < len(data):
        length, _, _, index = _RTNEXTHOP.unpack_from(data, offset)
        legs.append(Leg(_gateway(wire.attributes(data, offset + _RTNEXTHOP.size, offset + length)), index))
        offset += (length + 3) & ~3
    return tuple(legs)


def _gateway(found: dict[int, bytes]) -> Address | None:
    """RTA_VIA carries a gateway of another family (RFC 8950): its family in two bytes, then the address."""
    via = found.get(_RTA_VIA, b"")[2:]
    gateway = found.get(_RTA_GATEWAY, via)
    return Address(gateway) if gateway else None


def _u32(found: dict[int, bytes], kind: int) -> int:
    value: int = _U32.unpack(found[kind])[0] if kind in found else 0
    return value
