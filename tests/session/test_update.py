"""Well-formed UPDATEs: what they say, and that equal attributes are one object."""

from __future__ import annotations

import gc
import weakref

import pytest

from routerd.core.route import Attributes, Family, Origin, SegmentType, Unknown, parse_address, parse_prefix
from routerd.session import attributes as attributes_module
from tests.session.wire import (
    AS_PATH,
    ATTRIBUTES,
    GLOBAL,
    LINK_LOCAL,
    NEXT_HOP,
    NLRI,
    NLRI6,
    ORIGIN,
    PREFIX,
    PREFIX6,
    attribute,
    body,
    decoder,
    mp_reach,
    mp_unreach,
    opened,
    prefixes,
)

SEQUENCE = SegmentType.SEQUENCE


def only(*octets: str, external: bool = True) -> Attributes:
    """The attributes that a good UPDATE with these beside the mandatory ones announces."""
    update = decoder(external=external).decode(body(*ATTRIBUTES, *octets, nlri=NLRI))
    assert update.faults == ()
    return update.announced[0][0]


def test_update_of_one_route() -> None:
    update = decoder().decode(body(*ATTRIBUTES, nlri=NLRI))
    assert (update.peer, update.generation) == ("10.0.0.1", 7)
    expected = Attributes(origin=Origin.IGP, as_path=((SEQUENCE, (65001,)),), next_hop=parse_address("10.0.0.1"))
    assert update.announced == [(expected, [PREFIX])]
    assert (update.withdrawn, update.end_of_rib, update.faults) == ([], None, ())


def test_every_attribute() -> None:
    attributes = only(
        attribute(0x80, 4, "00000064"),
        attribute(0x40, 5, "000000c8"),
        attribute(0x40, 6, ""),
        attribute(0xC0, 7, "0000fde9 0a000002"),
        attribute(0xC0, 8, "ffffff02 fde90001"),
        attribute(0x80, 9, "0a000003"),
        attribute(0x80, 10, "0a000004 0a000005"),
        attribute(0xC0, 16, "4004fde9 48f42400"),
        attribute(0xD0, 32, "0000fde9 00000001 00000002"),
        external=False,
    )
    assert attributes == Attributes(
        as_path=((SEQUENCE, (65001,)),),
        next_hop=parse_address("10.0.0.1"),
        med=100,
        local_pref=200,
        atomic_aggregate=True,
        aggregator=(65001, parse_address("10.0.0.2")),
        communities=(0xFFFFFF02, 0xFDE90001),
        originator_id=parse_address("10.0.0.3"),
        cluster_list=(parse_address("10.0.0.4"), parse_address("10.0.0.5")),
        extended_communities=(bytes.fromhex("4004fde948f42400"),),
        large_communities=((65001, 1, 2),),
    )


def test_redundant_large_communities_are_dropped() -> None:
    one, two = "0000fde90000000100000002", "0000fde90000000100000001"
    assert only(attribute(0xC0, 32, one + two + one)).large_communities == ((65001, 1, 2), (65001, 1, 1))


def test_unknown_attributes() -> None:
    kept = only(
        attribute(0xC0, 200, "02"),
        attribute(0xD0, 99, "01"),
        attribute(0x80, 98, "00"),
        attribute(0xEF, 201, ""),
    ).unknown
    assert kept == (Unknown(0xC0, 99, b"\x01"), Unknown(0xC0, 200, b"\x02"), Unknown(0xE0, 201, b""))


def test_empty_as_path_is_well_formed() -> None:
    update = decoder(external=False).decode(body(ORIGIN, attribute(0x40, 2, ""), NEXT_HOP, nlri=NLRI))
    assert update.announced[0][0].as_path == ()


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("00", ["0.0.0.0/0"]),
        ("00 00 00", ["0.0.0.0/0"] * 3),
        ("18 c00002 18 c63364", ["192.0.2.0/24", "198.51.100.0/24"]),
        ("19 c0000280 20 c0000201 00", ["192.0.2.128/25", "192.0.2.1/32", "0.0.0.0/0"]),
        ("19 c00002ff", ["192.0.2.128/25"]),
        ("01 ff 09 0aff", ["128.0.0.0/1", "10.128.0.0/9"]),
        ("20 20202020 20 20202021", ["32.32.32.32/32", "32.32.32.33/32"]),
        ("08 0a 20 0a000001 08 0b", ["10.0.0.0/8", "10.0.0.1/32", "11.0.0.0/8"]),
    ],
)
def test_nlri(field: str, expected: list[str]) -> None:
    assert decoder().decode(body(*ATTRIBUTES, nlri=field)).announced[0][1] == prefixes(*expected)
    assert decoder().decode(body(withdrawn=field)).withdrawn == prefixes(*expected)


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 200])
@pytest.mark.parametrize("bits", [32, 24])
def test_packed_nlri(count: int, bits: int) -> None:
    field = "".join(f"{bits:02x} c0{number:02x}02" + ("01" if bits == 32 else "") for number in range(count))
    host = "1" if bits == 32 else "0"
    expected = prefixes(*(f"192.{number}.2.{host}/{bits}" for number in range(count)))
    assert decoder().decode(body(*ATTRIBUTES, nlri=field)).announced[0][1] == expected


def test_multiprotocol_routes() -> None:
    nlri = NLRI6 + "40 20010db800000002" + "41 20010db800000002ff" + "00"
    update = decoder().decode(body(mp_reach(nlri=nlri), ORIGIN, AS_PATH))
    attributes, announced = update.announced[0]
    assert announced == prefixes("2001:db8::1/128", "2001:db8:0:2::/64", "2001:db8:0:2:8000::/65", "::/0")
    assert (attributes.next_hop, attributes.link_local) == (parse_address("2001:db8::ff"), None)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_multiprotocol_attribute_stands_anywhere(position: int) -> None:
    octets = [ORIGIN, AS_PATH]
    octets.insert(position, mp_reach())
    session = decoder()
    first = session.decode(body(mp_reach(), ORIGIN, AS_PATH))
    assert session.decode(body(*octets)).announced[0][0] is first.announced[0][0]


@pytest.mark.parametrize(
    ("octets", "next_hop", "link_local"),
    [
        (GLOBAL + LINK_LOCAL, "2001:db8::ff", "fe80::ff"),
        ("00" * 16 + LINK_LOCAL, "::", "fe80::ff"),
        ("00" * 10 + "ffff 0a000001" + LINK_LOCAL, "::ffff:10.0.0.1", "fe80::ff"),
        ("00" * 10 + "ffff 0a000001", "::ffff:10.0.0.1", None),
        (LINK_LOCAL, "fe80::ff", None),
        (LINK_LOCAL + LINK_LOCAL, "fe80::ff", "fe80::ff"),
        (GLOBAL + GLOBAL, "2001:db8::ff", None),
        (GLOBAL + "00" * 16, "2001:db8::ff", None),  # FRR without a link-local address of its own
    ],
)
def test_ipv6_next_hops(octets: str, next_hop: str, link_local: str | None) -> None:
    attributes, _ = decoder().decode(body(mp_reach(octets), ORIGIN, AS_PATH)).announced[0]
    assert attributes.next_hop == parse_address(next_hop)
    assert attributes.link_local == (None if link_local is None else parse_address(link_local))


@pytest.mark.parametrize("next_hop", ["1.0.0.0", "126.255.255.255", "128.0.0.1", "223.255.255.255"])
def test_next_hops_beside_those_that_are_of_no_host(next_hop: str) -> None:
    """RFC 1122 section 3.2.1.3: networks 0 and 127, and all from 224.0.0.0 on, are none."""
    octets = attribute(0x40, 3, parse_address(next_hop))
    update = decoder().decode(body(ORIGIN, AS_PATH, octets, nlri=NLRI))
    assert update.announced[0][0].next_hop == parse_address(next_hop)


@pytest.mark.parametrize(
    ("octets", "next_hop"),
    [
        ("0a000001", "10.0.0.1"),
        (GLOBAL, "2001:db8::ff"),
        (GLOBAL + LINK_LOCAL, "2001:db8::ff"),
        ("00" * 10 + "ffff 0a000001", "10.0.0.1"),
        ("00" * 10 + "ffff 0a000001" + LINK_LOCAL, "10.0.0.1"),
    ],
)
def test_ipv4_routes_in_multiprotocol_nlri(octets: str, next_hop: str) -> None:
    update = decoder().decode(body(mp_reach(octets, NLRI, afi=1), ORIGIN, AS_PATH))
    assert update.announced[0][1] == [PREFIX]
    assert update.announced[0][0].next_hop == parse_address(next_hop)


def test_both_families_in_one_update() -> None:
    update = decoder().decode(body(mp_reach(), *ATTRIBUTES, nlri=NLRI))
    (first, first_prefixes), (second, second_prefixes) = update.announced
    assert (first_prefixes, second_prefixes) == ([PREFIX], [PREFIX6])
    assert (first.next_hop, second.next_hop) == (parse_address("10.0.0.1"), parse_address("2001:db8::ff"))
    assert first.as_path == second.as_path


def test_withdrawals_of_both_families() -> None:
    update = decoder().decode(body(mp_unreach(), withdrawn=NLRI))
    assert update.withdrawn == [PREFIX, PREFIX6]
    assert update.end_of_rib is None


def test_a_prefix_both_withdrawn_and_announced_is_in_both() -> None:
    update = decoder().decode(body(*ATTRIBUTES, withdrawn=NLRI, nlri=NLRI))
    assert update.withdrawn == [PREFIX]
    assert update.announced[0][1] == [PREFIX]


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (body(), Family.IPV4),
        (body(mp_unreach("")), Family.IPV6),
        (body(mp_unreach("", afi=1)), Family.IPV4),
        (body(mp_unreach("", afi=25, safi=70)), None),
        (body(mp_unreach(""), ORIGIN), None),
        (body(mp_unreach(""), withdrawn=NLRI), None),
        (body(mp_unreach()), None),
        (body(mp_reach(nlri="")), None),
    ],
)
def test_end_of_rib(octets: bytes, expected: Family | None) -> None:
    assert decoder().decode(octets).end_of_rib is expected


def test_end_of_rib_of_a_family_that_is_not_negotiated() -> None:
    only_ipv6 = decoder(opened(frozenset({Family.IPV6})))
    assert only_ipv6.decode(body()).end_of_rib is None
    assert only_ipv6.decode(body(mp_unreach(""), withdrawn=NLRI)).end_of_rib is None


def test_same_octets_give_the_same_attributes() -> None:
    session = decoder()
    first = session.decode(body(*ATTRIBUTES, nlri=NLRI)).announced[0][0]
    assert session.decode(body(*ATTRIBUTES, nlri="18 c63364")).announced[0][0] is first
    assert decoder().decode(body(*ATTRIBUTES, nlri=NLRI)).announced[0][0] is first


def test_equal_attributes_in_other_octets_are_the_same_object() -> None:
    sessions = [decoder(), decoder()]
    first = only()
    assert only(attribute(0x40, 5, "00000064")) is first
    assert only(attribute(0x80, 98, "00")) is first
    reordered = body(NEXT_HOP, ORIGIN, attribute(0x50, 2, "02010000fde9"), nlri=NLRI)
    assert [session.decode(reordered).announced[0][0] is first for session in sessions] == [True, True]


def test_what_is_remembered_dies_with_the_last_session_of_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes_module, "_parsers", weakref.WeakValueDictionary())
    first, second = (decoder(opened(four_octet_as=False), external=False) for _ in range(2))
    remembered = weakref.ref(first._parser)
    del first
    gc.collect()
    assert remembered() is not None
    del second
    gc.collect()
    assert remembered() is None


def test_different_attributes_are_different_objects() -> None:
    assert only() is not only(attribute(0x80, 4, "00000000"))
    assert only(attribute(0x80, 4, "00000001")) != only(attribute(0x80, 4, "00000002"))


def test_memos_are_bounded_in_octets(monkeypatch: pytest.MonkeyPatch) -> None:
    communities = attribute(0xD0, 8, "0000fde9" * 900)
    octets = [
        bytes.fromhex("".join(ATTRIBUTES) + communities + attribute(0x80, 4, f"{number:08x}")) for number in range(50)
    ]
    monkeypatch.setattr(attributes_module, "MEMO_LIMIT", 400_000)
    parser = attributes_module.AttributeParser(four_octet_as=True, external=True)
    for number, each in enumerate(octets):
        outcome = parser.classic(each)
        assert outcome.attributes is not None
        assert outcome.attributes.med == number
        assert parser.classic(each) is outcome
        assert len(parser.known) <= 11


def test_end_of_a_large_update() -> None:
    field = NLRI6 * 300
    update = decoder().decode(body(attribute(0x90, 15, bytes.fromhex("000201" + field))))
    assert update.withdrawn == [parse_prefix("2001:db8::1/128")] * 300
