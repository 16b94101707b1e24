"""UPDATE bodies by hand, independent of the encoder under test."""

from __future__ import annotations

from struct import pack

from routerd.core.message import Open
from routerd.core.route import Address, Family, Prefix, parse_prefix
from routerd.session.encode import UpdateEncoder
from routerd.session.update import UpdateDecoder

BOTH = frozenset(Family)

ORIGIN = "40 01 01 00"
AS_PATH = "40 02 06 02 01 0000fde9"
NEXT_HOP = "40 03 04 0a000001"
ATTRIBUTES = (ORIGIN, AS_PATH, NEXT_HOP)

PREFIX = parse_prefix("192.0.2.1/32")
NLRI = "20 c0000201"
PREFIX6 = parse_prefix("2001:db8::1/128")
NLRI6 = "80 20010db8000000000000000000000001"
GLOBAL = "20010db8 00000000 00000000 000000ff"
LINK_LOCAL = "fe800000 00000000 00000000 000000ff"


def opened(families: frozenset[Family] = BOTH, *, four_octet_as: bool = True, extended_message: bool = False) -> Open:
    return Open(
        asn=65001,
        hold_time=90,
        router_id=Address(b"\x0a\0\0\1"),
        families=families,
        four_octet_as=four_octet_as,
        route_refresh=True,
        extended_message=extended_message,
        graceful_restart=None,
    )


def decoder(received: Open | None = None, *, external: bool = True) -> UpdateDecoder:
    return UpdateDecoder("10.0.0.1", 7, received or opened(), opened(), external=external)


def encoder(received: Open | None = None, *, external: bool = True) -> UpdateEncoder:
    return UpdateEncoder(received or opened(), opened(extended_message=True), external=external)


def attribute(flags: int, code: int, value: str | bytes) -> str:
    octets = value if isinstance(value, bytes) else bytes.fromhex(value)
    size = pack("!H", len(octets)) if flags & 0x10 else bytes((len(octets),))
    return (bytes((flags, code)) + size + octets).hex()


def code_of(text: str) -> int:
    """Return the attribute code of a `vector`."""
    return int(text.partition("/")[0])


def vector(text: str) -> str:
    """Return the attribute that `code/flags/value` writes, all but the code in hexadecimal."""
    _, flags, value = text.split("/")
    return attribute(int(flags, 16), code_of(text), value)


def mp_reach(next_hop: str = GLOBAL, nlri: str = NLRI6, afi: int = 2, safi: int = 1) -> str:
    hop = bytes.fromhex(next_hop)
    return attribute(0x80, 14, pack("!HBB", afi, safi, len(hop)) + hop + b"\0" + bytes.fromhex(nlri))


def mp_unreach(nlri: str = NLRI6, afi: int = 2, safi: int = 1) -> str:
    return attribute(0x80, 15, pack("!HB", afi, safi) + bytes.fromhex(nlri))


def body(*attributes: str, nlri: str = "", withdrawn: str = "") -> bytes:
    gone, octets = bytes.fromhex(withdrawn), bytes.fromhex("".join(attributes))
    return pack("!H", len(gone)) + gone + pack("!H", len(octets)) + octets + bytes.fromhex(nlri)


def prefixes(*texts: str) -> list[Prefix]:
    return [parse_prefix(text) for text in texts]
