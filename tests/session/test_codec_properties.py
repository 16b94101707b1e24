"""Properties of the UPDATE codec: nothing crashes it, and what it writes it reads."""

from __future__ import annotations

from struct import pack

from hypothesis import given
from hypothesis import strategies as st

from routerd.core.message import Advertise, Update
from routerd.core.route import Address, Attributes, Family, Origin, Prefix, SegmentType, Unknown
from routerd.session.update import UpdateError
from tests.session.wire import decoder, encoder, opened

WIDTHS = {Family.IPV4: 4, Family.IPV6: 16}
SESSIONS = [
    (opened(families, four_octet_as=four_octet_as), external)
    for families in (frozenset(Family), frozenset({Family.IPV4}), frozenset({Family.IPV6}))
    for four_octet_as in (True, False)
    for external in (True, False)
]
DECODERS = [decoder(received, external=external) for received, external in SESSIONS]


def prefix(family: Family) -> st.SearchStrategy[Prefix]:
    size = WIDTHS[family] * 8

    def build(bits: int, number: int) -> Prefix:
        address = number >> (size - bits) << (size - bits)
        return Prefix(bytes((bits,)) + address.to_bytes(size // 8, "big"))

    bits = st.integers(0, size) | st.just(size)
    return st.builds(build, bits, st.integers(0, 2**size - 1))


u32 = st.integers(0, 2**32 - 1)
asns = st.integers(1, 2**32 - 1) | st.integers(1, 65535)
address4 = st.binary(min_size=4, max_size=4).map(Address)
host4 = st.builds(
    lambda a, rest: Address(bytes((a,)) + rest), st.integers(128, 223), st.binary(min_size=3, max_size=3)
)
host6 = st.binary(min_size=14, max_size=14).map(lambda rest: Address(b"\x20\x01" + rest))
link_local = st.binary(min_size=8, max_size=8).map(lambda rest: Address(b"\xfe\x80" + bytes(6) + rest))
segment = st.tuples(st.just(SegmentType.SEQUENCE), st.lists(asns, min_size=1, max_size=5).map(tuple))
unknown = st.builds(Unknown, st.just(0xE0), st.integers(33, 255), st.binary(max_size=300))
common = {
    "origin": st.sampled_from(Origin),
    "as_path": st.lists(segment, max_size=4).map(tuple),
    "med": st.none() | u32,
    "local_pref": u32,
    "atomic_aggregate": st.booleans(),
    "aggregator": st.none() | st.tuples(asns, address4),
    "communities": st.lists(u32, max_size=80).map(tuple),
    "extended_communities": st.lists(st.binary(min_size=8, max_size=8), max_size=3).map(tuple),
    "large_communities": st.lists(st.tuples(u32, u32, u32), max_size=3, unique=True).map(tuple),
    "originator_id": st.none() | address4,
    "cluster_list": st.lists(address4, max_size=3).map(tuple),
    "unknown": st.lists(unknown, max_size=3, unique_by=lambda item: item.code).map(
        lambda found: tuple(sorted(found, key=lambda item: item.code))
    ),
}
attributes4 = st.builds(Attributes, next_hop=host4, link_local=st.none(), **common)
attributes6 = st.builds(Attributes, next_hop=host6, link_local=st.none() | link_local, **common)
prefixes4 = st.lists(prefix(Family.IPV4), min_size=1, max_size=70).map(tuple)
prefixes6 = st.lists(prefix(Family.IPV6), min_size=1, max_size=70).map(tuple)
announcement = (
    st.tuples(attributes4, prefixes4) | st.tuples(attributes6, prefixes6) | st.tuples(attributes6, prefixes4)
)


def bodies(octets: bytes) -> list[bytes]:
    found = []
    while octets:
        size = int.from_bytes(octets[16:18], "big")
        found.append(octets[19:size])
        octets = octets[size:]
    return found


def check(update: Update) -> None:
    """Hold an `Update` against what its consumers rely on."""
    for item in [*update.withdrawn, *(found for _, each in update.announced for found in each)]:
        assert type(item) is bytes
        assert len(item) in (5, 17)
        size = len(item) * 8 - 8
        assert item[0] <= size
        assert int.from_bytes(item[1:], "big") % (1 << (size - item[0])) == 0
    for attributes, found in update.announced:
        assert found
        assert len(attributes.next_hop) in (4, 16)
        hash(attributes)
    withdraws = any(fault.outcome == "treat-as-withdraw" for fault in update.faults)
    assert not (withdraws and update.announced)


def decode_everywhere(octets: bytes) -> None:
    for session in DECODERS:
        try:
            update = session.decode(octets)
        except UpdateError:
            continue
        check(update)
        assert session.decode(octets) == update


def framed(withdrawn: bytes, attributes: bytes, nlri: bytes) -> bytes:
    return pack("!H", len(withdrawn)) + withdrawn + pack("!H", len(attributes)) + attributes + nlri


raw_attribute = st.builds(
    lambda flags, code, value: bytes((flags & ~0x10, code, len(value))) + value,
    st.sampled_from([0x40, 0x80, 0xC0]) | st.integers(0, 255),
    st.integers(0, 34),
    st.binary(max_size=40),
)


@given(st.binary(max_size=200))
def test_any_octets(octets: bytes) -> None:
    decode_everywhere(octets)


@given(st.binary(max_size=20), st.lists(raw_attribute, max_size=8), st.binary(max_size=20))
def test_any_octets_in_a_frame(withdrawn: bytes, attributes: list[bytes], nlri: bytes) -> None:
    decode_everywhere(framed(withdrawn, b"".join(attributes), nlri))
    decode_everywhere(framed(b"", b"".join(attributes), b"\x20\x0a\0\0\1"))


@given(announcement, st.data())
def test_mutated_updates(announced: tuple[Attributes, tuple[Prefix, ...]], data: st.DataObject) -> None:
    octets = bytearray(bodies(encoder(external=False).encode(Advertise("peer", announced=(announced,))))[0])
    for _ in range(data.draw(st.integers(1, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    del octets[data.draw(st.integers(len(octets) // 2, len(octets))) :]
    decode_everywhere(bytes(octets))


def joined(announced: list[tuple[Attributes, list[Prefix]]]) -> list[tuple[Attributes, list[Prefix]]]:
    result: list[tuple[Attributes, list[Prefix]]] = []
    for attributes, part in announced:
        if result and result[-1][0] == attributes:
            result[-1][1].extend(part)
        else:
            result.append((attributes, list(part)))
    return result


@given(st.lists(announcement, max_size=3), prefixes4, prefixes6, st.booleans())
def test_round_trip(
    announced: list[tuple[Attributes, tuple[Prefix, ...]]],
    gone4: tuple[Prefix, ...],
    gone6: tuple[Prefix, ...],
    extended: bool,
) -> None:
    received = opened(extended_message=extended)
    change = Advertise("peer", withdrawn=gone4 + gone6, announced=tuple(announced), end_of_rib=tuple(Family))
    session = decoder(received, external=False)
    updates = [session.decode(octets) for octets in bodies(encoder(received, external=False).encode(change))]
    assert all(update.faults == () for update in updates)
    withdrawn = [item for update in updates for item in update.withdrawn]
    assert tuple(withdrawn) == gone4 + gone6
    assert [update.end_of_rib for update in updates[-2:]] == list(Family)
    # Messages of one announcement, and announcements that follow each other with equal attributes, join.
    heard = [each for update in updates for each in update.announced]
    assert joined(heard) == joined([(attributes, list(part)) for attributes, part in announced])


@given(attributes4, prefixes4)
def test_round_trip_with_a_two_octet_peer(attributes: Attributes, chosen: tuple[Prefix, ...]) -> None:
    received = opened(four_octet_as=False)
    octets = encoder(received, external=False).encode(Advertise("peer", announced=((attributes, chosen),)))
    update = decoder(received, external=False).decode(bodies(octets)[0])
    assert update.announced == [(attributes, list(chosen))]
