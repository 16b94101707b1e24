"""OPEN messages: decoding, and the judgement on a peer's. Pure.

This is the one view of a peer's OPEN: ExaBGP negotiates with what is decoded here, and so does the RIB. ExaBGP's own
view misnames the graceful-restart flags, hides the N bit, and believes My-AS whatever the four-octet capability says.
"""

from __future__ import annotations

from collections.abc import Iterator

from routerd.core.message import GracefulRestart, Open
from routerd.core.route import Address, Family, parse_address
from routerd.session.configuration import PeerGroup, SpeakerConfig

AS_TRANS = 23456
"""Stands in My-AS for an AS that needs four octets (RFC 6793 section 9); nobody's own."""

UNSPECIFIC = 0
UNSUPPORTED_VERSION = 1
BAD_PEER_AS = 2
BAD_BGP_IDENTIFIER = 3
UNSUPPORTED_OPTIONAL_PARAMETER = 4
UNACCEPTABLE_HOLD_TIME = 6
"""Subcodes of an OPEN Message Error (RFC 4271 section 4.5)."""

_VERSION = 4
_CAPABILITIES = 2
_EXTENDED = 255
_UNICAST = 1
_LEAST_HOLD_TIME = 3

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


class OpenError(ValueError):
    """An OPEN that is answered with NOTIFICATION 2/`subcode` and `data` (RFC 4271 section 6.2)."""

    def __init__(self, subcode: int, text: str, data: bytes = b"") -> None:
        super().__init__(text)
        self.subcode = subcode
        self.data = data


def decode_open(body: bytes) -> Open:
    """Decode the body of an OPEN, without the 19-byte header (RFC 4271 section 4.2).

    Unknown families are passed over, and so is what stands in capabilities that routerd does not use
    (RFC 5492 section 3). Without a Multiprotocol capability the families are IPv4 alone (RFC 4760 section 8). Of
    several Graceful Restart capabilities the last one counts (RFC 4724 section 3). OpenError on another version, on a
    body that overruns its lengths, on an optional parameter that is not known, and on an AS that is none or two.
    """
    if len(body) < 10:
        raise OpenError(UNSPECIFIC, f"OPEN of {len(body)} bytes, 10 are the least")
    if body[0] != _VERSION:
        raise OpenError(UNSUPPORTED_VERSION, f"OPEN of BGP version {body[0]}, not 4", bytes([0, _VERSION]))
    families: set[Family] = set()
    multiprotocol = route_refresh = extended_message = False
    four_octet: set[int] = set()
    graceful_restart: GracefulRestart | None = None
    others: dict[int, None] = {}
    for code, value in _capabilities(body):
        if code == _MULTIPROTOCOL:
            if len(value) != 4:
                raise OpenError(UNSPECIFIC, f"OPEN: Multiprotocol capability of {len(value)} bytes, not 4")
            multiprotocol = True
            families.update(_family(value[0:2], value[3:4]))
        elif code == _FOUR_OCTET_AS:
            if len(value) != 4:
                raise OpenError(UNSPECIFIC, f"OPEN: four-octet AS capability of {len(value)} bytes, not 4")
            four_octet.add(int.from_bytes(value, "big"))
        elif code in (_ROUTE_REFRESH, _ROUTE_REFRESH_CISCO):
            route_refresh = True
        elif code == _EXTENDED_MESSAGE:
            extended_message = True
        elif code == _GRACEFUL_RESTART:
            graceful_restart = _graceful_restart(value)
        else:
            others[code] = None
    return Open(
        asn=_asn(int.from_bytes(body[1:3], "big"), four_octet),
        hold_time=int.from_bytes(body[3:5], "big"),
        router_id=Address(body[5:9]),
        families=frozenset(families) if multiprotocol else frozenset({Family.IPV4}),
        four_octet_as=bool(four_octet),
        route_refresh=route_refresh,
        extended_message=extended_message,
        graceful_restart=graceful_restart,
        others=tuple(others),
    )


def judge_open(opened: Open, config: SpeakerConfig, group: PeerGroup) -> None:
    """Check a peer's OPEN against what is configured for it (RFC 4271 section 6.2); OpenError says what is wrong."""
    ours, wanted = config.router.asn, group.remote_as
    if wanted == "external":
        fits, expected = opened.asn != ours, f"any but {ours}, which is the router's"
    else:
        number = ours if wanted == "internal" else wanted
        fits, expected = opened.asn == number, f"AS {number}"
    if not fits:
        raise OpenError(BAD_PEER_AS, f"got AS {opened.asn}, expected {expected}")
    if not any(opened.router_id):
        raise OpenError(BAD_BGP_IDENTIFIER, "got BGP identifier 0.0.0.0")
    if opened.asn == ours and opened.router_id == parse_address(str(config.router.router_id)):
        # between ASes the same identifier is no error (RFC 6286 section 2.1)
        raise OpenError(BAD_BGP_IDENTIFIER, f"got our own BGP identifier {config.router.router_id}")
    if 0 < opened.hold_time < _LEAST_HOLD_TIME:
        raise OpenError(UNACCEPTABLE_HOLD_TIME, f"got a hold time of {opened.hold_time} s, 3 s are the least")


def _asn(short: int, four_octet: set[int]) -> int:
    """Return the peer's AS; OpenError unless My-AS and the four-octet capabilities (if any) agree on one.

    My-AS is the AS itself, or AS_TRANS where that needs four octets (RFC 6793 section 9). 0 is nobody's (RFC 7607).
    """
    asn, *others = four_octet or {short}
    if others:
        raise OpenError(BAD_PEER_AS, f"OPEN: four-octet AS capabilities of {sorted(four_octet)} at once")
    if asn in (0, AS_TRANS):
        raise OpenError(BAD_PEER_AS, f"OPEN: AS {asn}, which is reserved")
    if short != (asn if asn < 1 << 16 else AS_TRANS):
        raise OpenError(BAD_PEER_AS, f"OPEN: My-AS {short}, but four-octet AS {asn}")
    return asn


def notifications_are_soft(received: bytes, sent: bytes) -> bool:
    """Tell whether both OPENs have the N bit: only a Hard Reset ends the routes of such a session (RFC 8538)."""
    both = [decode_open(body).graceful_restart for body in (received, sent)]
    return all(graceful is not None and graceful.notification for graceful in both)


def _capabilities(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield code and value of every capability (RFC 5492); a parameter may hold several."""
    if len(body) >= 13 and body[9] and body[10] == _EXTENDED:  # RFC 9072 section 2; the first length does not count
        parameters, width = _cut(body, 11, 2, "optional parameters"), 2
    else:
        parameters, width = _cut(body, 9, 1, "optional parameters"), 1
    for kind, parameter in _pairs(parameters, width, "optional parameter"):
        if kind != _CAPABILITIES:
            raise OpenError(UNSUPPORTED_OPTIONAL_PARAMETER, f"OPEN: optional parameter {kind}, only 2 is known")
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
        raise OpenError(UNSPECIFIC, f"OPEN: {what} overruns the message")
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
        raise OpenError(UNSPECIFIC, f"OPEN: Graceful Restart capability of {len(value)} bytes")
    head = int.from_bytes(value[:2], "big")
    families = {
        family: bool(value[at + 3] & _FORWARDING)
        for at in range(2, len(value), 4)
        for family in _family(value[at : at + 2], value[at + 2 : at + 3])
    }
    return GracefulRestart(bool(head & _RESTARTING), bool(head & _NOTIFICATION), head & _TIME, families)
