"""MRT records as octets (RFC 6396). Pure.

What is inside of BGP, attributes and messages, comes as the octets that it has there, with AS numbers of four octets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import pack
from typing import NamedTuple

from routerd.core.route import Address, Family, Prefix, family_of

_TABLE_DUMP_V2, _BGP4MP_ET = 13, 17
_PEER_INDEX_TABLE = 1
_RIB_UNICAST = {Family.IPV4: 2, Family.IPV6: 4}
_MESSAGE, _MESSAGE_AS4, _STATE_CHANGE_AS4 = 1, 4, 5
"""Types and subtypes (RFC 6396 sections 4.3 and 4.4)."""
IDLE, OPEN_CONFIRM, ESTABLISHED = 1, 5, 6
"""States of a session (section 4.4.1)."""
_AS_TRANS = 23456
_LONGEST = 65535
"""Octets of attributes at most, and entries of a record."""


class IndexedPeer(NamedTuple):
    """A peer as the index of a table dump has it."""

    router_id: Address
    address: Address
    asn: int


class Entry(NamedTuple):
    """A path: the peer's place in the index, since when it is there (seconds since 1970), and its attributes."""

    peer: int
    since: float
    attributes: bytes


class Ends(NamedTuple):
    """Both ends of a session. `as4` tells whether its AS_PATHs have AS numbers of four octets."""

    asn: int
    local_asn: int
    address: Address
    local: Address
    as4: bool


def peer_index_table(time: float, router_id: Address, peers: Sequence[IndexedPeer]) -> bytes:
    """Return the record that a table dump begins with (section 4.3.1); it has 65,535 peers at most."""
    rows = [
        bytes((2 | (len(each.address) == 16),)) + each.router_id + each.address + pack("!I", each.asn)
        for each in peers
    ]
    body = router_id + pack("!HH", 0, len(rows)) + b"".join(rows)
    return _record(time, _TABLE_DUMP_V2, _PEER_INDEX_TABLE, body)


def rib_entries(entries: Iterable[Entry]) -> bytes:
    """Return what prefixes with the same paths share of their records (section 4.3.4): the count, and the entries.
    A path whose attributes do not fit into the length field, as they may not after AS numbers got longer, is left
    out."""
    rows = [
        pack("!HIH", each.peer, max(0, int(each.since)), len(each.attributes)) + each.attributes
        for each in entries
        if len(each.attributes) <= _LONGEST
    ][:_LONGEST]
    return pack("!H", len(rows)) + b"".join(rows)


def rib(time: float, sequence: int, prefix: Prefix, entries: bytes) -> bytes:
    """Return the record of a prefix (section 4.3.2) with what `rib_entries` made."""
    return _record(
        time, _TABLE_DUMP_V2, _RIB_UNICAST[family_of(prefix)], pack("!I", sequence) + _nlri(prefix) + entries
    )


def next_hop_attribute(next_hop: bytes) -> bytes:
    """Return MP_REACH_NLRI as RIB entries have it: the length and the next hop alone (section 4.3.4)."""
    return bytes((0x80, 14, len(next_hop) + 1, len(next_hop))) + next_hop


def message(time: float, ends: Ends, octets: bytes) -> bytes:
    """Return the record of a BGP message that a peer has sent (sections 4.4.2 and 4.4.3), header included."""
    return _bgp4mp(time, _MESSAGE_AS4 if ends.as4 else _MESSAGE, ends, octets, as4=ends.as4)


def state_change(time: float, ends: Ends, before: int, after: int) -> bytes:
    """Return the record of a session that came up or ended (section 4.4.4)."""
    return _bgp4mp(time, _STATE_CHANGE_AS4, ends, pack("!HH", before, after), as4=True)


def _bgp4mp(time: float, subtype: int, ends: Ends, rest: bytes, *, as4: bool) -> bytes:
    asns = (ends.asn, ends.local_asn)
    if not as4:
        asns = (_two_octets(ends.asn), _two_octets(ends.local_asn))
    family = Family.IPV4 if len(ends.address) == 4 else Family.IPV6
    head = pack("!IIHH" if as4 else "!HHHH", *asns, 0, family) + ends.address + ends.local
    microseconds = pack("!I", int(time % 1 * 1e6))
    return _record(time, _BGP4MP_ET, subtype, microseconds + head + rest)


def _two_octets(asn: int) -> int:
    return asn if asn <= _LONGEST else _AS_TRANS


def _nlri(prefix: Prefix) -> bytes:
    return prefix[: 1 + (prefix[0] + 7 >> 3)]


def _record(time: float, kind: int, subtype: int, body: bytes) -> bytes:
    return pack("!IHHI", int(time), kind, subtype, len(body)) + body
