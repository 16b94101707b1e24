"""What BGP speaks of: families, prefixes, path attributes and paths.

Everything here is immutable and shared. Nodes announce thousands of prefixes with the same attributes, so
one `Attributes` and one `Path` serve them all, and a prefix is a short `bytes` key that needs no object.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple, NewType

Prefix = NewType("Prefix", bytes)
"""A prefix: its length in bits, then the whole address in network order, host bits zero.

5 bytes for IPv4, 17 for IPv6, so that the size tells the family and the bytes go to the kernel as they are.
"""

Address = NewType("Address", bytes)
"""An IP address in network order: 4 or 16 bytes."""

MAPPED = bytes(10) + b"\xff\xff"
"""What stands in front of an IPv4 address in an IPv6 one, `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2)."""

IPV4_PREFIX_SIZE = 5
IPV6_PREFIX_SIZE = 17


class Family(IntEnum):
    """Address families; the value is the AFI (IANA). The SAFI is always 1, unicast."""

    IPV4 = 1
    IPV6 = 2

    @property
    def label(self) -> str:
        """The name that the configuration, the API and the metrics use: `ipv4` or `ipv6`."""
        return self.name.lower()


def family_of(prefix: Prefix) -> Family:
    """Return the family of a prefix, told by its size."""
    return Family.IPV4 if len(prefix) == IPV4_PREFIX_SIZE else Family.IPV6


def forget(table: dict[Prefix, Any], prefixes: Iterable[Prefix]) -> None:
    """Take prefixes out of a table that may not have them, and mostly is empty."""
    if table:
        for prefix in prefixes:
            table.pop(prefix, None)


def parse_prefix(text: str) -> Prefix:
    """Return the prefix that `text` writes (`10.0.0.0/8`); ValueError on a bad one or on set host bits."""
    network = ipaddress.ip_network(text)
    return Prefix(bytes([network.prefixlen]) + network.network_address.packed)


def format_prefix(prefix: Prefix) -> str:
    """Return a prefix as operators write it: `172.16.1.1/32`."""
    return f"{format_address(Address(prefix[1:]))}/{prefix[0]}"


def parse_address(text: str) -> Address:
    """Return the address that `text` writes; ValueError on a bad one."""
    return Address(ipaddress.ip_address(text).packed)


def format_address(address: Address) -> str:
    """Return an address in its usual spelling (RFC 5952 for IPv6, section 5 for an IPv4-mapped one)."""
    if len(address) == 4:
        return ".".join(map(str, address))
    if address[:12] == MAPPED:
        return f"::ffff:{'.'.join(map(str, address[12:]))}"
    return str(ipaddress.IPv6Address(bytes(address)))


def covers(outer: Prefix, inner: Prefix) -> bool:
    """Tell whether `inner` is `outer` itself or more specific; never across families."""
    if len(outer) != len(inner) or inner[0] < outer[0]:
        return False
    bits = outer[0]
    shift = (len(outer) - 1) * 8 - bits
    return int.from_bytes(outer[1:], "big") >> shift == int.from_bytes(inner[1:], "big") >> shift


def contains(prefix: Prefix, address: Address) -> bool:
    """Tell whether `address` lies inside `prefix`; never across families."""
    return covers(prefix, Prefix(bytes([len(address) * 8]) + address))


class Origin(IntEnum):
    """ORIGIN (RFC 4271 section 5.1.1); a lower value is preferred."""

    IGP = 0
    EGP = 1
    INCOMPLETE = 2

    __hash__ = int.__hash__  # an Enum's own is slow, and hashes of attributes are often asked for


class SegmentType(IntEnum):
    """AS_PATH segment types (RFC 4271 section 4.3, RFC 5065 for confederations)."""

    SET = 1
    SEQUENCE = 2
    CONFED_SEQUENCE = 3
    CONFED_SET = 4

    __hash__ = int.__hash__


AsPath = tuple[tuple[SegmentType, tuple[int, ...]], ...]
"""AS_PATH: its segments in order, each a type and its four-octet AS numbers."""


def as_path_length(path: AsPath) -> int:
    """Return the length that the decision process compares: an AS_SET counts one (RFC 4271 section 9.1.2.2)."""
    length = 0
    for kind, asns in path:
        if kind is SegmentType.SEQUENCE:
            length += len(asns)
        elif kind is SegmentType.SET:
            length += 1
    return length


def first_as(path: AsPath) -> int | None:
    """Return the left-most AS, the neighbour that sent the path; None for an empty path or a leading set."""
    if path and path[0][0] is SegmentType.SEQUENCE:
        return path[0][1][0]
    return None


def as_numbers(path: AsPath) -> Iterable[int]:
    """Yield every AS number of the path, in order."""
    for _, asns in path:
        yield from asns


def format_as_path(path: AsPath) -> str:
    """Return the path as operators read it: `65001 65002 {65003,65004}`."""
    words: list[str] = []
    for kind, asns in path:
        if kind is SegmentType.SEQUENCE:
            words += map(str, asns)
        elif kind is SegmentType.SET:
            words.append("{" + ",".join(map(str, asns)) + "}")
        else:
            words.append("(" + " ".join(map(str, asns)) + ")")
    return " ".join(words)


@dataclass(frozen=True, slots=True)
class Unknown:
    """An optional transitive attribute that routerd does not interpret, passed on with the Partial bit."""

    flags: int
    code: int
    value: bytes


class Attributes(NamedTuple):
    """Path attributes of an UPDATE, after RFC 7606 checks. The decoder shares equal ones where it can.

    `next_hop` is the forwarding address: NEXT_HOP, or the global (else link-local) one of MP_REACH_NLRI.
    `link_local` is the second address of a 32-byte IPv6 next hop. MED and LOCAL_PREF are None when absent.
    Communities are u32, extended ones 8 raw bytes, large ones (u32, u32, u32), all in the order received.
    """

    origin: Origin = Origin.IGP
    as_path: AsPath = ()
    next_hop: Address = Address(b"")
    link_local: Address | None = None
    med: int | None = None
    local_pref: int | None = None
    atomic_aggregate: bool = False
    aggregator: tuple[int, Address] | None = None
    communities: tuple[int, ...] = ()
    extended_communities: tuple[bytes, ...] = ()
    large_communities: tuple[tuple[int, int, int], ...] = ()
    originator_id: Address | None = None
    cluster_list: tuple[Address, ...] = ()
    unknown: tuple[Unknown, ...] = ()


def weight(attributes: Attributes) -> int:
    """Return about how many octets attributes take in memory: many times what they take on the wire."""
    octets = 600 + 36 * len(attributes.communities)
    octets += 50 * (len(attributes.extended_communities) + len(attributes.cluster_list))
    octets += 180 * (len(attributes.large_communities) + len(attributes.as_path) + len(attributes.unknown))
    for _, asns in attributes.as_path:
        octets += 36 * len(asns)
    for each in attributes.unknown:
        octets += len(each.value)
    return octets


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """One way to a prefix: who announced it, and with which attributes. Shared by all prefixes of the two.

    `peer` is the peer's address as text, or `LOCAL` for what the router originates. `since` is the monotonic
    time in seconds from which on the peer has announced these attributes, for whatever prefixes (decision step 8).
    `merit` is what steps 1 to 6 of the decision process compare, and `tie` what steps 8 to 11 do: the lower wins.
    `says_more`: perhaps more than where it leads, that it is about to go, or a bandwidth. `weight` is in octets.
    """

    peer: str
    attributes: Attributes
    since: float = 0.0
    router_id: Address = Address(b"\0\0\0\0")
    external: bool = True
    merit: tuple[int, ...] = field(init=False)
    tie: tuple[float, bytes, int, bytes] = field(init=False)
    weight: int = field(init=False)
    says_more: bool = field(init=False)

    def __post_init__(self) -> None:
        said, is_local = self.attributes, self.peer == LOCAL
        preference = 100 if said.local_pref is None else said.local_pref
        # An absent MED counts 0: RFC 4271 section 9.1.2.2 c.
        length, med = as_path_length(said.as_path), said.med or 0
        merit = (-preference, not is_local, length, said.origin, med, not self.external)
        object.__setattr__(self, "merit", merit)
        router_id, peer = said.originator_id or self.router_id, b"" if is_local else _packed(self.peer)
        object.__setattr__(self, "tie", (self.since, router_id, len(said.cluster_list), peer))
        object.__setattr__(self, "weight", weight(said))
        object.__setattr__(self, "says_more", bool(said.communities or said.extended_communities))


LOCAL = "local"
"""The `peer` of a path that the router itself originates."""
_packed = lru_cache(1024)(parse_address)
