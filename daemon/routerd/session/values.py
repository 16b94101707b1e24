"""Values of the path attributes: octets to Python, with the checks of RFC 7606 section 7.

Every function takes the value of one attribute and raises ValueError where it is malformed.
"""

from __future__ import annotations

from struct import unpack

from routerd.core.route import MAPPED, Address, Origin

_ORIGINS = {bytes((origin,)): origin for origin in Origin}
_ANY = bytes(16)
_LOOPBACK = bytes(15) + b"\1"
_MULTICAST = 0xFF


def exact(value: bytes, size: int) -> bytes:
    """Return `value` if it is of `size` octets."""
    if len(value) != size:
        raise ValueError(f"length {len(value)} in place of {size}")
    return value


def multiple(value: bytes, size: int) -> int:
    """Return how many items of `size` octets `value` holds: at least one, and nothing left over."""
    count, rest = divmod(len(value), size)
    if rest or not count:
        raise ValueError(f"length {len(value)} is no positive multiple of {size}")
    return count


def parse_origin(value: bytes) -> Origin:
    """ORIGIN (RFC 7606 section 7.1)."""
    origin = _ORIGINS.get(value)
    if origin is None:
        raise ValueError(f"value {exact(value, 1)[0]}")
    return origin


def parse_u32(value: bytes) -> int:
    """MULTI_EXIT_DISC and LOCAL_PREF (RFC 7606 sections 7.4 and 7.5)."""
    return int.from_bytes(exact(value, 4), "big")


def parse_address(value: bytes) -> Address:
    """ORIGINATOR_ID (RFC 7606 section 7.9): four octets."""
    return Address(exact(value, 4))


def parse_flag(value: bytes) -> bool:
    """ATOMIC_AGGREGATE (RFC 7606 section 7.6): no octets, it is there or not."""
    exact(value, 0)
    return True


def parse_aggregator(value: bytes, width: int) -> tuple[int, Address]:
    """AGGREGATOR (RFC 7606 section 7.7) and AS4_AGGREGATOR: an AS number of `width` octets and an address."""
    asn = int.from_bytes(exact(value, width + 4)[:width], "big")
    if not asn:
        raise ValueError("AS 0")
    return asn, Address(value[width:])


def parse_communities(value: bytes) -> tuple[int, ...]:
    """COMMUNITIES (RFC 7606 section 7.8)."""
    return unpack(f"!{multiple(value, 4)}I", value)


def parse_extended_communities(value: bytes) -> tuple[bytes, ...]:
    """EXTENDED COMMUNITIES (RFC 7606 section 7.14)."""
    return unpack("8s" * multiple(value, 8), value)


def parse_large_communities(value: bytes) -> tuple[tuple[int, int, int], ...]:
    """LARGE_COMMUNITY (RFC 8092 sections 5 and 6): a value that occurs again is dropped."""
    numbers = iter(unpack(f"!{multiple(value, 12) * 3}I", value))
    return tuple(dict.fromkeys(zip(numbers, numbers, numbers, strict=True)))


def parse_cluster_list(value: bytes) -> tuple[Address, ...]:
    """CLUSTER_LIST (RFC 7606 section 7.10)."""
    return unpack("4s" * multiple(value, 4), value)


def parse_next_hop(value: bytes) -> Address:
    """NEXT_HOP (RFC 7606 section 7.3): the IPv4 address of a host.

    Networks 0 and 127, multicast and class E are none (RFC 4271 section 5.1.3, RFC 1122 section 3.2.1.3).
    """
    first = exact(value, 4)[0]
    if first in (0, 127) or first >= 224:
        raise ValueError("{}.{}.{}.{} is no address of a host".format(*value))
    return Address(value)


def parse_mp_next_hop(value: bytes) -> tuple[Address, Address | None]:
    """Return the next hop and the link-local address of an MP_REACH_NLRI next hop of 4, 16 or 32 octets.

    Source: RFC 4760 section 3, RFC 2545 section 3, RFC 8950 section 3. The next hop may be `::` only beside a
    link-local address, which then is the one to use. An IPv4-mapped one is checked as the IPv4 address.
    """
    if len(value) == 4:
        return parse_next_hop(value), None
    address = Address(value[:16])
    link_local = Address(value[16:]) if value[16:17] == b"\xfe" and value[17] & 0xC0 == 0x80 else None
    if address == _ANY:
        if link_local is None:
            raise ValueError(":: is no address of a host")
    elif address == _LOOPBACK or address[0] == _MULTICAST:
        raise ValueError("a loopback or multicast address is none of a host")
    elif address.startswith(MAPPED):
        parse_next_hop(address[12:])
    return address, link_local
