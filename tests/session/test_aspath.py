"""Two-octet peers: AS_PATH and AS4_PATH, AGGREGATOR and AS4_AGGREGATOR (RFC 6793)."""

from __future__ import annotations

import pytest

from routerd.core.message import Advertise, Update
from routerd.core.route import AsPath, Attributes, SegmentType, parse_address
from routerd.session.aspath import merge_as4_path, pack_as_path, parse_as_path
from tests.session.wire import NEXT_HOP, NLRI, ORIGIN, PREFIX, attribute, body, decoder, encoder, opened

SET, SEQUENCE, CONFED = SegmentType.SET, SegmentType.SEQUENCE, SegmentType.CONFED_SEQUENCE
TRANS = 23456


@pytest.mark.parametrize(
    ("path", "as4_path", "expected"),
    [
        pytest.param(
            ((SEQUENCE, (275, 250, TRANS, 23, TRANS)),),
            ((SEQUENCE, (70000, 23, 80000)),),
            ((SEQUENCE, (275, 250, 70000, 23, 80000)),),
            id="leading part",
        ),
        pytest.param(((SEQUENCE, (TRANS,)),), ((SEQUENCE, (70000,)),), ((SEQUENCE, (70000,)),), id="equal length"),
        pytest.param(((SEQUENCE, (1,)),), ((SEQUENCE, (70000, 2)),), ((SEQUENCE, (1,)),), id="AS4_PATH too long"),
        pytest.param(
            ((SEQUENCE, (1, 2)), (SET, (3, TRANS))),
            ((SET, (3, 70000)),),
            ((SEQUENCE, (1, 2)), (SET, (3, 70000))),
            id="set counts one",
        ),
        pytest.param(
            ((SET, (1, 2)), (SEQUENCE, (TRANS,))),
            ((SEQUENCE, (70000,)),),
            ((SET, (1, 2)), (SEQUENCE, (70000,))),
            id="leading set",
        ),
        pytest.param(
            ((CONFED, (9,)), (SEQUENCE, (1, TRANS))),
            ((SEQUENCE, (70000,)),),
            ((CONFED, (9,)), (SEQUENCE, (1, 70000))),
            id="leading confederation",
        ),
        pytest.param(
            ((SEQUENCE, (1,)), (CONFED, (9,)), (SEQUENCE, (TRANS,))),
            ((SEQUENCE, (70000,)),),
            ((SEQUENCE, (1,)), (CONFED, (9,)), (SEQUENCE, (70000,))),
            id="confederation after what is kept",
        ),
        pytest.param(
            ((SEQUENCE, (1, TRANS)), (CONFED, (9,))),
            ((SEQUENCE, (70000,)),),
            ((SEQUENCE, (1, 70000)),),
            id="confederation after what is replaced",
        ),
        pytest.param(
            ((SEQUENCE, (1,) * 255), (SEQUENCE, (TRANS,))),
            ((SEQUENCE, (70000,)),),
            ((SEQUENCE, (1,) * 255), (SEQUENCE, (70000,))),
            id="full segment",
        ),
        pytest.param(
            ((SEQUENCE, (1,) * 254), (SEQUENCE, (TRANS,))),
            ((SEQUENCE, (70000,)),),
            ((SEQUENCE, (*(1,) * 254, 70000)),),
            id="segment that just holds both",
        ),
        pytest.param(
            ((SEQUENCE, (1, TRANS)), (SET, (3, TRANS))),
            ((SEQUENCE, (70000,)), (SET, (3, 70000))),
            ((SEQUENCE, (1, 70000)), (SET, (3, 70000))),
            id="several segments",
        ),
        pytest.param(((SEQUENCE, (1, 2)),), (), ((SEQUENCE, (1, 2)),), id="empty AS4_PATH"),
    ],
)
def test_merge(path: AsPath, as4_path: AsPath, expected: AsPath) -> None:
    assert merge_as4_path(path, as4_path) == expected


def decode_old(*octets: str) -> Update:
    session = decoder(opened(four_octet_as=False))
    return session.decode(body(ORIGIN, NEXT_HOP, *octets, nlri=NLRI))


OLD_PATH = attribute(0x40, 2, "0202 fde9 5ba0")
AS4_PATH = attribute(0xC0, 17, "0201 00011170")


def test_as4_path_is_merged() -> None:
    assert decode_old(OLD_PATH, AS4_PATH).announced[0][0].as_path == ((SEQUENCE, (65001, 70000)),)


def test_as4_aggregator_replaces_as_trans() -> None:
    aggregator, as4 = attribute(0xC0, 7, "5ba0 0a000002"), attribute(0xC0, 18, "00011170 0a000003")
    attributes, _ = decode_old(OLD_PATH, AS4_PATH, aggregator, as4).announced[0]
    assert attributes.aggregator == (70000, parse_address("10.0.0.3"))
    assert attributes.as_path == ((SEQUENCE, (65001, 70000)),)


def test_aggregation_by_a_two_octet_speaker_voids_both() -> None:
    aggregator, as4 = attribute(0xC0, 7, "fde9 0a000002"), attribute(0xC0, 18, "00011170 0a000003")
    attributes, _ = decode_old(OLD_PATH, AS4_PATH, aggregator, as4).announced[0]
    assert attributes.aggregator == (65001, parse_address("10.0.0.2"))
    assert attributes.as_path == ((SEQUENCE, (65001, TRANS)),)


@pytest.mark.parametrize(("asn", "told"), [(65001, False), (65535, False), (65536, True), (70000, True)])
def test_a_two_octet_peer_is_told_as4_aggregator_where_it_needs_it(asn: int, told: bool) -> None:
    """RFC 6793 section 4.2.2: if, and only if, the AS number does not fit into two octets."""
    attributes = Attributes(
        as_path=((SEQUENCE, (65001,)),),
        next_hop=parse_address("10.0.0.1"),
        aggregator=(asn, parse_address("10.0.0.2")),
    )
    octets = encoder(opened(four_octet_as=False)).encode(Advertise("peer", announced=((attributes, (PREFIX,)),)))
    as4_aggregator = attribute(0xC0, 18, asn.to_bytes(4, "big") + parse_address("10.0.0.2"))
    assert (bytes.fromhex(as4_aggregator) in octets) is told
    assert (b"\xc0\x12" in octets) is told


@pytest.mark.parametrize(("asn", "needed"), [(65535, False), (65536, True)])
def test_a_two_octet_peer_is_told_as4_path_where_it_needs_it(asn: int, needed: bool) -> None:
    """RFC 6793 section 4.2.2."""
    attributes = Attributes(as_path=((SEQUENCE, (65001, asn)),), next_hop=parse_address("10.0.0.1"))
    octets = encoder(opened(four_octet_as=False)).encode(Advertise("peer", announced=((attributes, (PREFIX,)),)))
    as4_path = attribute(0xC0, 17, pack_as_path(attributes.as_path, 4))
    assert (bytes.fromhex(as4_path) in octets) is needed
    assert (b"\xc0\x11" in octets) is needed


@pytest.mark.parametrize("asn", ["5ba0", "fde9"])
def test_as4_path_counts_without_an_as4_aggregator_whoever_has_aggregated(asn: str) -> None:
    """RFC 6793 section 4.2.3: it is ignored where there is one, and AGGREGATOR does not hold AS_TRANS."""
    aggregator = attribute(0xC0, 7, f"{asn} 0a000002")
    without, _ = decode_old(OLD_PATH, AS4_PATH).announced[0]
    attributes, _ = decode_old(OLD_PATH, AS4_PATH, aggregator).announced[0]
    assert attributes.as_path == without.as_path
    assert attributes.aggregator == (int(asn, 16), parse_address("10.0.0.2"))


def test_as4_aggregator_alone_is_ignored() -> None:
    attributes, _ = decode_old(OLD_PATH, attribute(0xC0, 18, "00011170 0a000003")).announced[0]
    assert attributes.aggregator is None


def test_malformed_as4_path_is_discarded() -> None:
    update = decode_old(OLD_PATH, attribute(0xC0, 17, "0201 00000000"))
    assert [(fault.outcome, fault.attribute) for fault in update.faults] == [("attribute-discard", 17)]
    assert update.announced[0][0].as_path == ((SEQUENCE, (65001, TRANS)),)


def test_confederation_segments_are_taken_out_of_as4_path() -> None:
    update = decode_old(OLD_PATH, attribute(0xC0, 17, "0301 0000fde9 0201 00011170"))
    assert [(fault.outcome, fault.attribute) for fault in update.faults] == [("attribute-discard", 17)]
    assert update.announced[0][0].as_path == ((SEQUENCE, (65001, 70000)),)


@pytest.mark.parametrize("segments", ["0101 00011170", "0201 0000fde9 0102 0000fde9 00011170", "0401 0000fde9"])
def test_a_set_in_as4_path_withdraws(segments: str) -> None:
    update = decode_old(OLD_PATH, attribute(0xC0, 17, segments))
    assert ("treat-as-withdraw", 17) in [(fault.outcome, fault.attribute) for fault in update.faults]
    assert update.announced == []


def test_four_octet_peers_send_no_as4_path() -> None:
    octets = body(ORIGIN, attribute(0x40, 2, "0201 0000fde9"), NEXT_HOP, AS4_PATH, nlri=NLRI)
    update = decoder().decode(octets)
    assert update.announced[0][0].as_path == ((SEQUENCE, (65001,)),)
    assert update.faults == ()


def test_two_octet_peer_is_told_both() -> None:
    attributes = Attributes(
        as_path=((SEQUENCE, (65001, 70000)), (SEQUENCE, (80000, 5))),
        next_hop=parse_address("10.0.0.1"),
        aggregator=(70000, parse_address("10.0.0.2")),
    )
    old = opened(four_octet_as=False)
    message = encoder(old).encode(Advertise("peer", announced=((attributes, (PREFIX,)),)))
    assert bytes.fromhex("40020c 0202fde95ba0 02025ba00005") in message
    assert bytes.fromhex("c00706 5ba0 0a000002") in message
    assert decoder(old).decode(message[19:]).announced == [(attributes, [PREFIX])]


def test_two_octet_peer_is_told_no_as4_path_without_need() -> None:
    attributes = Attributes(as_path=((SEQUENCE, (65001,)),), next_hop=parse_address("10.0.0.1"))
    message = encoder(opened(four_octet_as=False)).encode(Advertise("peer", announced=((attributes, (PREFIX,)),)))
    assert message[23:] == bytes.fromhex("400101004002040201fde94003040a00000120c0000201")


def test_long_sequence_is_split() -> None:
    asns = tuple(range(1, 601))
    path = parse_as_path(pack_as_path(((SEQUENCE, asns),), 4), 4)
    assert [len(part) for _, part in path] == [255, 255, 90]
    assert tuple(asn for _, part in path for asn in part) == asns
