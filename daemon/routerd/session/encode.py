"""`Advertise` to UPDATE messages: what the router tells a peer, packed into as few messages as fit.

Source: RFC 4271 section 4.3, RFC 4760, RFC 6793 section 4.2.2 (two-octet peers), RFC 8654 (extended
messages), RFC 8950 (IPv4 NLRI with an IPv6 next hop).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from struct import pack
from weakref import WeakValueDictionary

from routerd.core.memo import Memo
from routerd.core.message import Advertise, Open
from routerd.core.route import MAPPED, Address, Attributes, Family, Prefix, weight
from routerd.core.withheld import TooLarge
from routerd.session.aspath import needs_as4_path, pack_as_path, two_octet, without_confederation
from routerd.session.attribute_rules import (
    EXTENDED_LENGTH,
    OPTIONAL,
    OPTIONAL_TRANSITIVE,
    WELL_KNOWN,
    AttributeCode,
)
from routerd.session.attributes import MEMO_LIMIT
from routerd.session.nlri import WIDTH, join_nlri

_MARKER = b"\xff" * 16
_UPDATE, _ROUTE_REFRESH = 2, 5
_MAX_MESSAGE = 4096
_MAX_EXTENDED_MESSAGE = 65535
_FIXED = 23
"""Octets of an UPDATE that holds nothing: header and the two length fields."""

_ATTRIBUTE_HEADER = 4
_DEFAULT_LOCAL_PREF = 100


class UpdateEncoder:
    """Encodes what one session announces. `external` tells eBGP; the OPENs tell what was negotiated."""

    def __init__(self, open_received: Open, open_sent: Open, *, external: bool) -> None:
        self._families = open_received.families & open_sent.families
        extended = open_received.extended_message and open_sent.extended_message
        self._room = (_MAX_EXTENDED_MESSAGE if extended else _MAX_MESSAGE) - _FIXED
        four_octet_as = open_received.four_octet_as and open_sent.four_octet_as
        self._attributes = attribute_encoder(four_octet_as=four_octet_as, external=external)
        self.kind = (self._families, self._room, four_octet_as, external)
        """Encoders of the same kind make the same octets."""

    def encode(self, change: Advertise) -> bytes:
        """Return whole messages, header included: withdrawals, announcements, then End-of-RIB markers.

        Families that were not negotiated are left out. A route whose attributes do not fit into a message is
        withdrawn instead (RFC 8654 section 4).
        """
        return self.routes(change)[0] + self.ends(change)

    def routes(self, change: Advertise) -> tuple[bytes, tuple[TooLarge, ...]]:
        """Return the withdrawals and announcements alone, and which of these are withdrawals for want of room."""
        messages: list[bytes] = []
        withheld: list[TooLarge] = []
        for family, prefixes in self._by_family(change.withdrawn):
            messages += self._withdraw(family, prefixes)
        for attributes, announced in change.announced:
            for family, prefixes in self._by_family(announced):
                messages += self._announce(family, attributes, prefixes, withheld)
        return b"".join(messages), tuple(withheld)

    def ends(self, change: Advertise) -> bytes:
        """Return the End-of-RIB markers alone."""
        return b"".join(_end_of_rib(family) for family in change.end_of_rib if family in self._families)

    def _by_family(self, prefixes: tuple[Prefix, ...]) -> Iterator[tuple[Family, tuple[Prefix, ...]]]:
        """Yield the prefixes of each negotiated family that there are any of."""
        for family, width in WIDTH.items():
            if family in self._families:
                chosen = tuple([prefix for prefix in prefixes if len(prefix) == width])
                if chosen:
                    yield family, chosen

    def _withdraw(self, family: Family, prefixes: tuple[Prefix, ...]) -> Iterator[bytes]:
        width = WIDTH[family]
        if family is Family.IPV4:
            for field in join_nlri(prefixes, width, self._room):
                yield _message(field, b"", b"")
            return
        start = pack("!HB", family, 1)
        for field in join_nlri(prefixes, width, self._room - _ATTRIBUTE_HEADER - len(start)):
            yield _message(b"", _attribute(OPTIONAL, AttributeCode.MP_UNREACH_NLRI, start + field), b"")

    def _announce(
        self, family: Family, attributes: Attributes, prefixes: tuple[Prefix, ...], withheld: list[TooLarge]
    ) -> Iterator[bytes]:
        width = WIDTH[family]
        classic = family is Family.IPV4 and len(attributes.next_hop) == 4
        start = b"" if classic else _mp_reach_start(family, attributes)
        try:
            octets = self._attributes.encode(attributes, classic=classic)
        except OverflowError:
            taken, room = 0, 0
        else:
            taken = _FIXED + len(octets) + (0 if classic else _ATTRIBUTE_HEADER + len(start))
            room = self._room + _FIXED - taken
        if room < width:
            withheld.append(TooLarge(prefixes, taken and taken + width, self._room + _FIXED))
            yield from self._withdraw(family, prefixes)
            return
        for field in join_nlri(prefixes, width, room):
            if classic:
                yield _message(b"", octets, field)
            else:
                # Multiprotocol NLRI come first, whatever their code: RFC 7606 section 5.1.
                reach = _attribute(OPTIONAL, AttributeCode.MP_REACH_NLRI, start + field)
                yield _message(b"", reach + octets, b"")


def route_refresh(families: Iterable[Family]) -> bytes:
    """Return the messages that ask a peer to announce these families again (RFC 2918 section 3)."""
    return b"".join(_MARKER + pack("!HBHBB", 23, _ROUTE_REFRESH, family, 0, 1) for family in families)


class AttributeEncoder:
    """Encodes attributes for all sessions of one kind: with or without four-octet AS numbers, eBGP or not."""

    def __init__(self, *, four_octet_as: bool, external: bool) -> None:
        self._four_octet_as = four_octet_as
        self._external = external
        self._memo: Memo[tuple[Attributes, bool], bytes] = Memo(MEMO_LIMIT)

    def encode(self, attributes: Attributes, *, classic: bool) -> bytes:
        """Return the attributes less the multiprotocol ones, with NEXT_HOP if `classic`.

        Raises OverflowError where one does not fit into its length field.
        """
        key = attributes, classic
        octets = self._memo.get(key)
        if octets is None:
            items = sorted(self._items(attributes, classic=classic), key=lambda item: item[1])
            octets = b"".join(_attribute(*item) for item in items)
            self._memo.remember(key, octets, weight(attributes) + len(octets))
        return octets

    def _items(self, attributes: Attributes, *, classic: bool) -> Iterator[tuple[int, int, bytes]]:
        """Yield flags, code and value of each attribute that the peer is to see."""
        yield WELL_KNOWN, AttributeCode.ORIGIN, bytes((attributes.origin,))
        yield from self._as_items(attributes)
        if classic:
            yield WELL_KNOWN, AttributeCode.NEXT_HOP, attributes.next_hop
        if attributes.med is not None:
            yield OPTIONAL, AttributeCode.MULTI_EXIT_DISC, pack("!I", attributes.med)
        if attributes.atomic_aggregate:
            yield WELL_KNOWN, AttributeCode.ATOMIC_AGGREGATE, b""
        if attributes.communities:
            values = _u32s(attributes.communities)
            yield OPTIONAL_TRANSITIVE, AttributeCode.COMMUNITIES, values
        if attributes.extended_communities:
            values = b"".join(attributes.extended_communities)
            yield OPTIONAL_TRANSITIVE, AttributeCode.EXTENDED_COMMUNITIES, values
        if attributes.large_communities:
            values = _u32s(number for community in attributes.large_communities for number in community)
            yield OPTIONAL_TRANSITIVE, AttributeCode.LARGE_COMMUNITIES, values
        for unknown in attributes.unknown:
            yield unknown.flags, unknown.code, unknown.value
        if not self._external:
            yield from _internal_items(attributes)

    def _as_items(self, attributes: Attributes) -> Iterator[tuple[int, int, bytes]]:
        """Yield what holds AS numbers: twice for a two-octet peer that cannot read them all."""
        path, aggregator = attributes.as_path, attributes.aggregator
        width = 4 if self._four_octet_as else 2
        yield WELL_KNOWN, AttributeCode.AS_PATH, pack_as_path(path, width)
        if width == 2 and needs_as4_path(path):
            value = pack_as_path(without_confederation(path), 4)
            yield OPTIONAL_TRANSITIVE, AttributeCode.AS4_PATH, value
        if aggregator is None:
            return
        asn, address = aggregator
        if width == 4:
            yield OPTIONAL_TRANSITIVE, AttributeCode.AGGREGATOR, pack("!I", asn) + address
            return
        yield OPTIONAL_TRANSITIVE, AttributeCode.AGGREGATOR, pack("!H", two_octet(asn)) + address
        if two_octet(asn) != asn:
            yield OPTIONAL_TRANSITIVE, AttributeCode.AS4_AGGREGATOR, pack("!I", asn) + address


_encoders: WeakValueDictionary[tuple[bool, bool], AttributeEncoder] = WeakValueDictionary()


def attribute_encoder(*, four_octet_as: bool, external: bool) -> AttributeEncoder:
    """Return the encoder of all sessions of this kind: they remember together what they have encoded, and the last
    takes the memory with it."""
    key = four_octet_as, external
    encoder = _encoders.get(key)
    if encoder is None:
        encoder = _encoders[key] = AttributeEncoder(four_octet_as=four_octet_as, external=external)
    return encoder


def _internal_items(attributes: Attributes) -> Iterator[tuple[int, int, bytes]]:
    """Yield what only internal peers see (RFC 4271 section 5.1.5, RFC 4456 section 8)."""
    local_pref = _DEFAULT_LOCAL_PREF if attributes.local_pref is None else attributes.local_pref
    yield WELL_KNOWN, AttributeCode.LOCAL_PREF, pack("!I", local_pref)
    if attributes.originator_id is not None:
        yield OPTIONAL, AttributeCode.ORIGINATOR_ID, attributes.originator_id
    if attributes.cluster_list:
        yield OPTIONAL, AttributeCode.CLUSTER_LIST, b"".join(attributes.cluster_list)


def _u32s(numbers: Iterable[int]) -> bytes:
    return b"".join(number.to_bytes(4, "big") for number in numbers)


def _mp_reach_start(family: Family, attributes: Attributes) -> bytes:
    """Return MP_REACH_NLRI up to its NLRI. An IPv4 next hop is mapped (RFC 4291 section 2.5.5.2)."""
    next_hop = attributes.next_hop
    if len(next_hop) == 4:
        next_hop = Address(MAPPED + next_hop)
    next_hops = next_hop + (attributes.link_local or b"")
    return pack("!HBB", family, 1, len(next_hops)) + next_hops + b"\0"


def _attribute(flags: int, code: int, value: bytes) -> bytes:
    size = len(value)
    if size > 255:
        return bytes((flags | EXTENDED_LENGTH, code)) + size.to_bytes(2, "big") + value
    return bytes((flags, code, size)) + value


def _message(withdrawn: bytes, attributes: bytes, nlri: bytes) -> bytes:
    size = _FIXED + len(withdrawn) + len(attributes) + len(nlri)
    return b"".join(
        (
            _MARKER,
            pack("!HBH", size, _UPDATE, len(withdrawn)),
            withdrawn,
            pack("!H", len(attributes)),
            attributes,
            nlri,
        )
    )


def _end_of_rib(family: Family) -> bytes:
    """RFC 4724 section 2."""
    if family is Family.IPV4:
        return _message(b"", b"", b"")
    return _message(b"", _attribute(OPTIONAL, AttributeCode.MP_UNREACH_NLRI, pack("!HB", family, 1)), b"")
