"""BMP messages as octets (RFC 7854, RFC 8671 for Adj-RIB-Out, RFC 9069 for the Loc-RIB). Pure.

BGP messages come as the octets that they have on the wire, header included, with AS numbers of four octets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from struct import pack
from typing import NamedTuple

from routerd.core.route import Address, Family

_VERSION = 3
_MONITORING, _STATISTICS, _PEER_DOWN, _PEER_UP, _INITIATION, _TERMINATION = range(6)
_GLOBAL_INSTANCE, _LOC_RIB_INSTANCE = 0, 3
_IPV6, _POST_POLICY, _ADJ_RIB_OUT = 0x80, 0x40, 0x10
"""Peer flags (RFC 7854 section 4.2, RFC 8671 section 4)."""
_SYS_DESCRIPTION, _SYS_NAME = 1, 2
_TABLE_NAME = 3
_MARKER = b"\xff" * 16
_OPEN = 1
_AS_TRANS = 23456


class Rib(IntEnum):
    """Of which RIB a message tells; the value is the peer flags that say so."""

    PRE_POLICY = 0
    POST_POLICY = _POST_POLICY
    OUT = _POST_POLICY | _ADJ_RIB_OUT


class Peer(NamedTuple):
    """Whom a message is about. An empty `address` is the Loc-RIB of the router that has the AS and the BGP
    identifier."""

    address: bytes
    asn: int
    router_id: Address


class Session(NamedTuple):
    """How a session began: the router's address, both ports, and both OPENs."""

    local: bytes
    local_port: int
    remote_port: int
    sent: bytes
    received: bytes


class Down(IntEnum):
    """Why a session ended (section 4.9)."""

    NOTIFICATION_SENT = 1
    CLOSED_HERE = 2
    NOTIFICATION_RECEIVED = 3
    CLOSED_THERE = 4


class Gauge(IntEnum):
    """Statistics: their types (section 4.8, RFC 8671 section 6). All are 64-bit gauges but the first, a counter."""

    TREATED_AS_WITHDRAW = 11
    ADJ_RIB_IN = 7
    LOC_RIB = 8
    ADJ_RIB_OUT = 15
    ADJ_RIB_OUT_BY_FAMILY = 17


def initiation(name: str, description: str) -> bytes:
    """Return the first message of a session (section 4.3)."""
    return _message(_INITIATION, _tlv(_SYS_DESCRIPTION, description.encode()) + _tlv(_SYS_NAME, name.encode()))


def termination(reason: int) -> bytes:
    """Return the last message of a session (section 4.5); 0: it was asked for, 1: unspecified, 2: out of
    resources."""
    return _message(_TERMINATION, _tlv(1, pack("!H", reason)))


def peer_up(time: float, peer: Peer, session: Session) -> bytes:
    """Return the message that a session is there (section 4.10)."""
    body = _wide(session.local) + pack("!HH", session.local_port, session.remote_port)
    return _message(_PEER_UP, _header(time, peer, 0) + body + session.sent + session.received)


def loc_rib_up(time: float, peer: Peer) -> bytes:
    """Return the message that the Loc-RIB is there (RFC 9069 section 5.2)."""
    opened = open_message(_fabricated(peer))
    head = _header(time, peer, 0) + bytes(16 + 4)
    return _message(_PEER_UP, head + opened + opened + _tlv(_TABLE_NAME, b"global"))


def peer_down(time: float, peer: Peer, reason: Down, notification: bytes = b"") -> bytes:
    """Return the message that a session is over, with the NOTIFICATION, if there was one (section 4.9)."""
    data = b"\0\0" if reason is Down.CLOSED_HERE else notification  # no event of the FSM is known
    return _message(_PEER_DOWN, _header(time, peer, 0) + bytes((reason,)) + data)


def monitoring(time: float, peer: Peer, rib: Rib, update: bytes) -> bytes:
    """Return an UPDATE as it is in a RIB (section 4.6)."""
    return _message(_MONITORING, _header(time, peer, rib) + update)


def statistics(time: float, peer: Peer, counts: Sequence[tuple[Gauge, int, Family | None]]) -> bytes:
    """Return a report (section 4.8): counts, some of them of a family."""
    rows = b"".join(_tlv(gauge, _count(gauge, count, family)) for gauge, count, family in counts)
    return _message(_STATISTICS, _header(time, peer, 0) + pack("!I", len(counts)) + rows)


def open_message(body: bytes) -> bytes:
    """Return an OPEN of its body."""
    return bgp_message(_OPEN, body)


def bgp_message(kind: int, body: bytes) -> bytes:
    """Return a BGP message (RFC 4271 section 4.1)."""
    return _MARKER + pack("!HB", 19 + len(body), kind) + body


def split(octets: bytes) -> Iterable[bytes]:
    """Yield the BGP messages that follow each other in octets."""
    at = 0
    while at < len(octets):
        end = at + int.from_bytes(octets[at + 16 : at + 18], "big")
        yield octets[at:end]
        at = end


def _count(gauge: Gauge, count: int, family: Family | None) -> bytes:
    if gauge is Gauge.TREATED_AS_WITHDRAW:
        return pack("!I", count & 0xFFFFFFFF)
    return (b"" if family is None else pack("!HB", family, 1)) + pack("!Q", count)


def _fabricated(peer: Peer) -> bytes:
    """Return the OPEN of a Loc-RIB: its families, messages of more than 4,096 octets, and AS numbers of four octets
    (RFC 9069 section 5.2)."""
    capabilities = b"".join(pack("!BBHBB", 1, 4, family, 0, 1) for family in Family)
    capabilities += pack("!BBBBI", 6, 0, 65, 4, peer.asn)
    parameters = bytes((2, len(capabilities))) + capabilities
    asn = peer.asn if peer.asn < 65536 else _AS_TRANS
    return pack("!BHH4sB", 4, asn, 0, peer.router_id, len(parameters)) + parameters


def _header(time: float, peer: Peer, flags: int) -> bytes:
    """Return the per-peer header (section 4.2)."""
    kind = _GLOBAL_INSTANCE if peer.address else _LOC_RIB_INSTANCE
    if len(peer.address) == 16:
        flags |= _IPV6
    when = pack("!II", int(time), int(time % 1 * 1e6))
    return bytes((kind, flags)) + bytes(8) + _wide(peer.address) + pack("!I", peer.asn) + peer.router_id + when


def _wide(address: bytes) -> bytes:
    return address.rjust(16, b"\0")


def _tlv(kind: int, value: bytes) -> bytes:
    return pack("!HH", kind, len(value)) + value


def _message(kind: int, body: bytes) -> bytes:
    return pack("!BIB", _VERSION, 6 + len(body), kind) + body
