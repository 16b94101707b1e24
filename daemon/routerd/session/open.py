"""Decoding of OPEN messages.

ExaBGP's own view of an OPEN misnames the graceful-restart flags and hides the N bit, so routerd reads the raw body.
"""

from __future__ import annotations

from collections.abc import Iterator

from routerd.core.message import GracefulRestart, Open
from routerd.core.route import Address, Family

_CAPABILITIES = 2
_EXTENDED = 255
_UNICAST = 1

_MULTIPROTOCOL = 1
_ROUTE_REFRESH = 2
_EXTENDED_MESSAGE = 6
_GRACEFUL_RESTART = 64
_FOUR_OCTET_AS = 65
_ROUTE_REFRESH_CISCO = 128

_RESTARTING = 0x8000
_NOTIFICATION = 0x4000
_TIME = 0x0FFF
_FORWARDING = 0x80


def decode_open(body: bytes) -> Open:
    """Decode the body of an OPEN, without the 19-byte header (RFC 4271 section 4.2).

    Unknown parameters, capabilities and families are passed over. Without a Multiprotocol capability the
    families are IPv4 alone (RFC 4760 section 8). ValueError on a body that overruns its lengths.
    """
    if len(body) < 10:
        raise ValueError(f"OPEN of {len(body)} bytes, 10 are the least")
    asn = int.from_bytes(body[1:3], "big")
    families: set[Family] = set()
    multiprotocol = four_octet_as = route_refresh = extended_message = False
    graceful_restart: GracefulRestart | None = None
    for code, value in _capabilities(body):
        if code == _MULTIPROTOCOL:
            multiprotocol = True
            families.update(_family(value[0:2], value[3:4]))
        elif code == _FOUR_OCTET_AS:
            if len(value) != 4:
                raise ValueError(f"four-octet AS capability of {len(value)} bytes")
            four_octet_as, asn = True, int.from_bytes(value, "big")
        elif code in (_ROUTE_REFRESH, _ROUTE_REFRESH_CISCO):
            route_refresh = True
        elif code == _EXTENDED_MESSAGE:
            extended_message = True
        elif code == _GRACEFUL_RESTART:
            graceful_restart = _graceful_restart(value)
    return Open(
        asn=asn,
        hold_time=int.from_bytes(body[3:5], "big"),
        router_id=Address(body[5:9]),
        families=frozenset(families) if multiprotocol else frozenset({Family.IPV4}),
        four_octet_as=four_octet_as,
        route_refresh=route_refresh,
        extended_message=extended_message,
        graceful_restart=graceful_restart,
    )


def notifications_are_soft(received: bytes, sent: bytes) -> bool:
    """Tell whether both OPENs have the N bit: only a Hard Reset ends the routes of such a session (RFC 8538)."""
    both = [decode_open(body).graceful_restart for body in (received, sent)]
    return all(graceful is not None and graceful.notification for graceful in both)


def _capabilities(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield code and value of every capability (RFC 5492); a parameter may hold several."""
    if len(body) >= 13 and body[9] == _EXTENDED and body[10] == _EXTENDED:  # RFC 9072 section 2
        parameters, width = _cut(body, 11, 2, "optional parameters"), 2
    else:
        parameters, width = _cut(body, 9, 1, "optional parameters"), 1
    for kind, parameter in _pairs(parameters, width, "optional parameter"):
        if kind == _CAPABILITIES:
            yield from _pairs(parameter, 1, "capability")


def _pairs(data: bytes, width: int, what: str) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each type-length-value triple; lengths have `width` bytes."""
    offset = 0
    while offset < len(data):
        value = _cut(data, offset + 1, width, f"{what} {data[offset]}")
        yield data[offset], value
        offset += 1 + width + len(value)


def _cut(data: bytes, offset: int, width: int, what: str) -> bytes:
    """Return what stands behind the length of `width` bytes at `offset`."""
    start = offset + width
    end = start + int.from_bytes(data[offset:start], "big")
    if start > len(data) or end > len(data):
        raise ValueError(f"OPEN: {what} overruns the message")
    return data[start:end]


def _family(afi: bytes, safi: bytes) -> list[Family]:
    """Return the family of an AFI (2 bytes) and a SAFI (1 byte), or nothing for one that routerd does not speak."""
    number = int.from_bytes(afi, "big")
    if safi == bytes([_UNICAST]) and number in (Family.IPV4, Family.IPV6):
        return [Family(number)]
    return []


def _graceful_restart(value: bytes) -> GracefulRestart:
    """Decode the Graceful Restart capability (RFC 4724 section 3, RFC 8538 section 2 for the N bit)."""
    if len(value) < 2 or len(value) % 4 != 2:
        raise ValueError(f"graceful restart capability of {len(value)} bytes")
    head = int.from_bytes(value[:2], "big")
    families = {
        family: bool(value[at + 3] & _FORWARDING)
        for at in range(2, len(value), 4)
        for family in _family(value[at : at + 2], value[at + 2 : at + 3])
    }
    return GracefulRestart(bool(head & _RESTARTING), bool(head & _NOTIFICATION), head & _TIME, families)
