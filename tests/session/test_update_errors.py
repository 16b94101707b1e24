"""Malformed UPDATEs: one row for each rule of RFC 7606 and its kin."""

from __future__ import annotations

import pytest

from routerd.core.message import Update
from routerd.core.route import Family, parse_prefix
from routerd.session.update import UpdateError
from tests.session.wire import (
    AS_PATH,
    ATTRIBUTES,
    GLOBAL,
    NEXT_HOP,
    NLRI,
    NLRI6,
    ORIGIN,
    PREFIX,
    PREFIX6,
    attribute,
    body,
    code_of,
    decoder,
    mp_reach,
    mp_unreach,
    opened,
    vector,
)

CODES = {1: ORIGIN, 2: AS_PATH, 3: NEXT_HOP}


def with_vector(text: str) -> bytes:
    """A good UPDATE with this attribute in place of, or beside, its own."""
    code = code_of(text)
    rest = [octets for other, octets in CODES.items() if other != code]
    return body(*rest, vector(text), nlri=NLRI)


def outcomes(update: Update) -> list[tuple[str, int]]:
    return [(fault.outcome, fault.attribute) for fault in update.faults]


@pytest.mark.parametrize(
    "text",
    [
        "1/40/03",
        "1/40/",
        "1/40/0000",
        "1/C0/00",
        "1/00/00",
        "2/40/00010000fde9",
        "2/40/05010000fde9",
        "2/40/02ff0000fde9",
        "2/40/020100000000",
        "2/40/0200",
        "2/40/02010000fde902",
        "2/40/02010000fde90201fde9",
        "2/40/03010000fde9",
        "2/40/04010000fde9",
        "2/C0/02010000fde9",
        "3/40/00000000",
        "3/40/7f000001",
        "3/40/e0000001",
        "3/40/f0000001",
        "3/40/ffffffff",
        "3/40/0a0000",
        "3/40/",
        "3/80/0a000001",
        "4/80/000000",
        "4/80/",
        "4/C0/00000000",
        "6/C0/",
        "7/80/0000fde90a000002",
        "8/C0/ffff000100",
        "8/C0/",
        "8/80/ffff0001",
        "16/C0/0002fde90000000100",
        "16/C0/",
        "16/40/0002fde900000001",
        "32/C0/0000fde9000000010000000200",
        "32/C0/",
        "32/80/0000fde90000000100000002",
    ],
)
def test_malformed_attribute_withdraws_its_routes(text: str) -> None:
    update = decoder().decode(with_vector(text))
    assert outcomes(update) == [("treat-as-withdraw", code_of(text))]
    assert (update.withdrawn, update.announced) == ([PREFIX], [])


@pytest.mark.parametrize(
    "text",
    [
        "5/40/000000",
        "5/40/",
        "5/C0/00000064",
        "6/40/00",
        "7/C0/0000fde90a",
        "7/C0/fde90a000002",
        "7/C0/",
        "7/C0/000000000a000002",
        "9/80/0a0000",
        "9/80/",
        "9/C0/0a000001",
        "10/80/",
        "10/80/0a0000",
        "17/C0/0201",
        "18/C0/00",
    ],
)
def test_malformed_attribute_is_discarded_and_its_routes_kept(text: str) -> None:
    update = decoder().decode(with_vector(text))
    assert outcomes(update) == [("attribute-discard", code_of(text))]
    clean, _ = decoder().decode(body(*ATTRIBUTES, nlri=NLRI)).announced[0]
    assert update.announced == [(clean, [PREFIX])]
    assert update.withdrawn == []


@pytest.mark.parametrize("text", ["5/40/00000064", "9/80/0a000001", "10/80/0a0000010a000002"])
def test_attributes_of_internal_peers_are_silently_dropped_from_external_ones(text: str) -> None:
    update = decoder().decode(with_vector(text))
    clean, _ = decoder().decode(body(*ATTRIBUTES, nlri=NLRI)).announced[0]
    assert update.announced == [(clean, [PREFIX])]
    assert update.faults == ()


@pytest.mark.parametrize("text", ["5/40/000000", "9/80/0a0000", "10/80/", "10/80/0a0000", "5/C0/00000064"])
def test_malformed_attributes_of_internal_peers_withdraw(text: str) -> None:
    update = decoder(external=False).decode(with_vector(text))
    assert outcomes(update) == [("treat-as-withdraw", code_of(text))]
    assert update.withdrawn == [PREFIX]


@pytest.mark.parametrize("external", [True, False])
@pytest.mark.parametrize("segments", ["01010000fde9", "02010000fde901020000fdea0000fdeb", "04010000fde902010000fdea"])
def test_sets_withdraw(segments: str, external: bool) -> None:
    text = f"2/40/{segments}"
    update = decoder(external=external).decode(with_vector(text))
    assert set(outcomes(update)) == {("treat-as-withdraw", 2)}
    assert update.withdrawn == [PREFIX]


def test_confederation_segments_of_internal_peers_are_kept() -> None:
    update = decoder(external=False).decode(with_vector("2/40/03010000fde902010000fdea"))
    assert update.announced[0][0].as_path == ((3, (65001,)), (2, (65002,)))


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_missing_mandatory_attribute_withdraws(missing: int) -> None:
    present = [octets for code, octets in CODES.items() if code != missing]
    update = decoder().decode(body(*present, nlri=NLRI))
    assert outcomes(update) == [("treat-as-withdraw", missing)]
    assert update.withdrawn == [PREFIX]


def test_nlri_without_any_attribute_is_withdrawn() -> None:
    update = decoder().decode(body(nlri=NLRI))
    assert {code for _, code in outcomes(update)} == {1, 2, 3}
    assert update.withdrawn == [PREFIX]
    assert update.end_of_rib is None


@pytest.mark.parametrize("nlri", ["", NLRI])
def test_an_update_with_routes_of_a_family_that_is_not_negotiated_is_no_end_of_rib(nlri: str) -> None:
    update = decoder(opened(frozenset({Family.IPV6}))).decode(body(attribute(0x80, 15, "0002 01"), nlri=nlri))
    assert update.end_of_rib is (None if nlri else Family.IPV6)


@pytest.mark.parametrize("missing", [1, 2])
def test_missing_mandatory_attribute_withdraws_multiprotocol_routes(missing: int) -> None:
    present = [octets for code, octets in CODES.items() if code not in (missing, 3)]
    update = decoder().decode(body(mp_reach(), *present))
    assert outcomes(update) == [("treat-as-withdraw", missing)]
    assert update.withdrawn == [PREFIX6]


def test_next_hop_is_ignored_where_only_multiprotocol_routes_are() -> None:
    bad = attribute(0x40, 3, "00000000")
    update = decoder().decode(body(mp_reach(), ORIGIN, AS_PATH, bad))
    assert update.faults == ()
    assert update.announced[0][1] == [PREFIX6]


def test_treat_as_withdraw_takes_every_route_of_the_update() -> None:
    gone, gone6 = "18 c63364", "40 20010db800000002"
    origin = attribute(0x40, 1, "03")
    update = decoder().decode(
        body(mp_reach(), mp_unreach(gone6), origin, AS_PATH, NEXT_HOP, withdrawn=gone, nlri=NLRI)
    )
    assert update.withdrawn == [
        parse_prefix("198.51.100.0/24"),
        parse_prefix("2001:db8:0:2::/64"),
        PREFIX,
        PREFIX6,
    ]
    assert update.announced == []
    assert outcomes(update) == [("treat-as-withdraw", 1)]


def test_the_next_hop_of_either_family_withdraws_both() -> None:
    update = decoder().decode(body(mp_reach("00" * 16), *ATTRIBUTES, nlri=NLRI))
    assert outcomes(update) == [("treat-as-withdraw", 14)]
    assert update.withdrawn == [PREFIX, PREFIX6]


@pytest.mark.parametrize(
    "next_hop",
    [
        "00" * 16,
        "00" * 15 + "01",
        "ff02" + "00" * 13 + "01",
        "00" * 10 + "ffff 7f000001",
        "00" * 10 + "ffff 00000000",
        "00" * 32,
        "00" * 16 + GLOBAL,
        "00" * 15 + "01" + GLOBAL,
    ],
)
def test_next_hop_that_is_no_host_withdraws(next_hop: str) -> None:
    update = decoder().decode(body(mp_reach(next_hop), ORIGIN, AS_PATH))
    assert outcomes(update) == [("treat-as-withdraw", 14)]
    assert update.withdrawn == [PREFIX6]


@pytest.mark.parametrize("next_hop", ["7f000001", "00000000", "e0000001"])
def test_an_ipv4_next_hop_of_multiprotocol_routes_that_is_no_host_withdraws(next_hop: str) -> None:
    update = decoder().decode(body(mp_reach(next_hop, NLRI, afi=1), ORIGIN, AS_PATH))
    assert outcomes(update) == [("treat-as-withdraw", 14)]
    assert update.withdrawn == [PREFIX]


def test_first_of_duplicate_attributes_wins() -> None:
    again = (attribute(0x40, 1, "02"), attribute(0xC0, 99, "01"), attribute(0xC0, 99, "02"))
    update = decoder().decode(body(*ATTRIBUTES, *again, nlri=NLRI))
    assert outcomes(update) == [("attribute-discard", 1), ("attribute-discard", 99)]
    attributes, _ = update.announced[0]
    assert attributes.origin == 0
    assert [unknown.value for unknown in attributes.unknown] == [b"\x01"]


@pytest.mark.parametrize(
    ("tail", "code"),
    [
        ("80", 0),
        ("80 04", 4),
        ("80 04 05 00000000", 4),
        ("90 04 00", 4),
        ("90 04 00 05 00000000", 4),
        ("c0 63 01", 99),
    ],
)
def test_attribute_overrun_withdraws(tail: str, code: int) -> None:
    update = decoder().decode(body(*ATTRIBUTES, tail, nlri=NLRI))
    assert outcomes(update) == [("treat-as-withdraw", code)]
    assert update.withdrawn == [PREFIX]


def test_what_is_left_over_behind_the_last_attribute_is_told_from_an_attribute_that_is_cut_off() -> None:
    texts = [decoder().decode(body(*ATTRIBUTES, tail, nlri=NLRI)).faults[0].text for tail in ("80", "80 04")]
    assert texts == [
        "attribute 0: an octet is left over at the end",
        "MULTI_EXIT_DISC: runs over the end of the attributes",
    ]


@pytest.mark.parametrize("families", [frozenset({Family.IPV4}), frozenset({Family.IPV6})])
def test_routes_of_a_family_that_is_not_negotiated_are_left_out(families: frozenset[Family]) -> None:
    update = decoder(opened(families)).decode(body(mp_reach(), *ATTRIBUTES, nlri=NLRI))
    expected = PREFIX if Family.IPV4 in families else PREFIX6
    assert [prefixes for _, prefixes in update.announced] == [[expected]]
    assert outcomes(update) == [("attribute-discard", 14 if Family.IPV4 in families else 0)]


def test_ipv4_routes_without_attributes_and_with_known_ones_are_left_out_where_that_family_is_not_negotiated() -> (
    None
):
    both, only_ipv6 = decoder(), decoder(opened(frozenset({Family.IPV6})))
    known = body(*ATTRIBUTES, nlri=NLRI)
    assert both.decode(known).announced, "sessions of a kind remember together"
    for octets in (known, body(withdrawn=NLRI)):
        update = only_ipv6.decode(octets)
        assert (update.announced, update.withdrawn) == ([], [])
        assert outcomes(update) == [("attribute-discard", 0)]


@pytest.mark.parametrize(("afi", "safi"), [(1, 128), (25, 70), (2, 2), (16384, 71)])
def test_unknown_families_are_left_out(afi: int, safi: int) -> None:
    reach, unreach = mp_reach("", "ff" * 9, afi, safi), mp_unreach("ff" * 9, afi, safi)
    update = decoder().decode(body(reach, unreach, attribute(0x40, 1, "03"), AS_PATH))
    assert (update.announced, update.withdrawn, update.end_of_rib) == ([], [], None)
    assert outcomes(update)[:2] == [("attribute-discard", 14), ("attribute-discard", 15)]


NINE = "20010db800000000ff"


@pytest.mark.parametrize(
    ("octets", "code", "subcode"),
    [
        pytest.param(b"", 3, 1, id="empty"),
        pytest.param(b"\0\0\0", 3, 1, id="no attribute length"),
        pytest.param(b"\0\1\0\0", 3, 1, id="withdrawn overrun"),
        pytest.param(b"\xff\xff\0\0", 3, 1, id="withdrawn length"),
        pytest.param(b"\0\0\0\1", 3, 1, id="attributes overrun"),
        pytest.param(body(*ATTRIBUTES, nlri="21 c000020100"), 3, 10, id="NLRI /33"),
        pytest.param(body(*ATTRIBUTES, nlri="ff"), 3, 10, id="NLRI /255"),
        pytest.param(body(*ATTRIBUTES, nlri="20 c00002"), 3, 10, id="NLRI overrun"),
        pytest.param(body(*ATTRIBUTES, nlri=NLRI * 3 + "20"), 3, 10, id="NLRI rest"),
        pytest.param(body(withdrawn="21 c000020100"), 3, 10, id="withdrawn /33"),
        pytest.param(body(withdrawn="20 c00002"), 3, 10, id="withdrawn NLRI overrun"),
        pytest.param(body(mp_reach(), mp_reach(), ORIGIN, AS_PATH), 3, 1, id="MP_REACH again"),
        pytest.param(body(mp_unreach(), mp_unreach()), 3, 1, id="MP_UNREACH again"),
        pytest.param(body(mp_reach(NINE), ORIGIN, AS_PATH), 3, 1, id="next hop of 9"),
        pytest.param(body(mp_reach("0a000001"), ORIGIN, AS_PATH), 3, 1, id="IPv4 next hop for IPv6"),
        pytest.param(body(attribute(0x80, 14, "0002 01 10 2001"), ORIGIN), 3, 1, id="next hop overrun"),
        pytest.param(body(attribute(0x80, 14, "0002 01 10" + GLOBAL)), 3, 1, id="no reserved octet"),
        pytest.param(body(attribute(0x80, 14, "0002 01 10")), 3, 9, id="MP_REACH of 4"),
        pytest.param(body(attribute(0x80, 15, "0002")), 3, 9, id="MP_UNREACH of 2"),
        pytest.param(body("80 0f 20 0002 01"), 3, 9, id="MP_UNREACH truncated"),
        pytest.param(body("80 0e 20 0002 01"), 3, 9, id="MP_REACH truncated"),
        pytest.param(body(mp_unreach("80 2001")), 3, 9, id="MP_UNREACH NLRI overrun"),
        pytest.param(body(mp_reach(nlri="81" + "00" * 17)), 3, 9, id="MP_REACH /129"),
        pytest.param(body(mp_reach("0a000001", "21 c000020100", afi=1)), 3, 9, id="MP_REACH IPv4 /33"),
        pytest.param(body(attribute(0xC0, 15, "0002 01")), 3, 9, id="MP_UNREACH flags"),
        pytest.param(body(attribute(0x40, 14, "0002 01 00 00")), 3, 9, id="MP_REACH flags"),
        pytest.param(body(*ATTRIBUTES, attribute(0x40, 99, "00"), nlri=NLRI), 3, 2, id="unknown well-known"),
        pytest.param(body(attribute(0x40, 1, "03"), withdrawn=NLRI), 3, 1, id="fault without routes"),
        pytest.param(body(attribute(0x40, 1, "03"), mp_unreach()), 3, 1, id="fault beside MP_UNREACH"),
        pytest.param(body("40 01 05 00", mp_unreach("")), 3, 1, id="overrun hides the rest"),
    ],
)
def test_session_reset(octets: bytes, code: int, subcode: int) -> None:
    with pytest.raises(UpdateError) as caught:
        decoder().decode(octets)
    assert (caught.value.code, caught.value.subcode) == (code, subcode)
    assert caught.value.text


def test_notification_holds_the_attribute() -> None:
    with pytest.raises(UpdateError) as caught:
        decoder().decode(body(*ATTRIBUTES, attribute(0x40, 99, "00"), nlri=NLRI))
    assert caught.value.data == b"\x40\x63\x01\x00"
    with pytest.raises(UpdateError) as caught:
        decoder().decode(body(ORIGIN, "80 0f 20 0002 01"))
    assert caught.value.data == b"\x80\x0f\x20\x00\x02\x01"
    with pytest.raises(UpdateError) as caught:
        decoder().decode(body(attribute(0x90, 15, "0002 01" + NLRI6 * 300 + "80")))
    assert len(caught.value.data) == 4096 - 21, "as much as a NOTIFICATION has room for"


def test_attributes_without_routes_need_not_be_complete() -> None:
    update = decoder().decode(body(ORIGIN, attribute(0x40, 6, "00"), withdrawn=NLRI))
    assert update.withdrawn == [PREFIX]
    assert outcomes(update) == [("attribute-discard", 6)]


def test_a_fault_is_reported_again_for_remembered_attributes() -> None:
    session = decoder()
    first, second = (session.decode(with_vector("6/40/00")) for _ in range(2))
    assert first == second
    assert outcomes(second) == [("attribute-discard", 6)]
    first, second = (session.decode(with_vector("1/40/03")) for _ in range(2))
    assert first == second
    assert second.withdrawn == [PREFIX]
