"""MRT records, octet for octet as RFC 6396 lays them out."""

from __future__ import annotations

import pytest

from routerd.core.route import parse_address, parse_prefix
from routerd.telemetry.mrt import records
from routerd.telemetry.mrt.records import Ends, Entry, IndexedPeer

ROUTER = parse_address("192.168.10.200")
NODE, NODE6 = parse_address("192.168.10.100"), parse_address("fd00:10::100")
TIME = 1_700_000_000.25
SECONDS = "6553f100"


def octets(text: str) -> bytes:
    return bytes.fromhex(text.replace("|", " "))


def test_the_index_has_peers_of_both_families_with_as_numbers_of_four_octets() -> None:
    peers = [IndexedPeer(NODE, NODE, 65001), IndexedPeer(NODE, NODE6, 4_200_000_000)]
    rows = "02 c0a80a64 c0a80a64 0000fde9 | 03 c0a80a64 fd000010000000000000000000000100 fa56ea00"
    assert records.peer_index_table(TIME, ROUTER, peers) == octets(
        f"{SECONDS} 000d 0001 0000002e | c0a80ac8 0000 0002 | {rows}"
    )


def test_entries_have_their_peer_their_time_and_their_attributes() -> None:
    entries = [Entry(1, TIME, b"\x40\x01\x01\x00"), Entry(258, 0.0, b"")]
    assert records.rib_entries(entries) == octets(f"0002 | 0001 {SECONDS} 0004 40010100 | 0102 00000000 0000")


def test_a_path_that_is_older_than_1970_is_of_1970() -> None:
    """So it seems where the clock was set after the path came."""
    assert records.rib_entries([Entry(0, -60.0, b"")]) == octets("0001 | 0000 00000000 0000")


def test_attributes_that_do_not_fit_are_left_out() -> None:
    fits, too_long = Entry(0, 0.0, bytes(65535)), Entry(1, 0.0, bytes(65536))
    assert records.rib_entries([too_long, fits]) == octets("0001 | 0000 00000000 ffff") + bytes(65535)


def test_a_record_has_as_many_entries_as_its_count_can_say() -> None:
    for count, kept in ((65535, 65535), (65536, 65535)):
        made = records.rib_entries([Entry(0, 0.0, b"")] * count)
        assert (made[:2], len(made)) == (b"\xff\xff", 2 + 8 * kept)


@pytest.mark.parametrize(
    ("prefix", "subtype", "nlri"),
    [
        ("0.0.0.0/0", "0002", "00"),
        ("172.16.0.0/12", "0002", "0c ac10"),
        ("172.16.1.0/24", "0002", "18 ac1001"),
        ("172.16.1.128/25", "0002", "19 ac100180"),
        ("172.16.1.1/32", "0002", "20 ac100101"),
        ("fd00:ac10::/32", "0004", "20 fd00ac10"),
        ("fd00:ac10::1/128", "0004", "80 fd00ac10000000000000000000000001"),
    ],
)
def test_a_prefix_takes_the_octets_of_its_length(prefix: str, subtype: str, nlri: str) -> None:
    body = octets(f"00000007 | {nlri} | 0000")
    made = records.rib(TIME, 7, parse_prefix(prefix), octets("0000"))
    assert made == octets(f"{SECONDS} 000d {subtype} {len(body):08x}") + body


def test_a_next_hop_stands_alone_in_mp_reach_nlri() -> None:
    assert records.next_hop_attribute(NODE6) == octets("80 0e 11 10") + NODE6
    assert records.next_hop_attribute(NODE6 + NODE6) == octets("80 0e 21 20") + NODE6 + NODE6


@pytest.mark.parametrize(
    ("ends", "subtype", "head"),
    [
        (Ends(65001, 4_200_000_000, NODE, ROUTER, True), "0004", "0000fde9 fa56ea00 0000 0001 c0a80a64 c0a80ac8"),
        (Ends(65001, 65535, NODE, ROUTER, False), "0001", "fde9 ffff 0000 0001 c0a80a64 c0a80ac8"),
        (Ends(65536, 4_200_000_000, NODE, ROUTER, False), "0001", "5ba0 5ba0 0000 0001 c0a80a64 c0a80ac8"),
        (Ends(65001, 65002, NODE6, NODE6, True), "0004", f"0000fde9 0000fdea 0000 0002 {NODE6.hex() * 2}"),
    ],
)
def test_a_message_has_both_ends_of_its_session(ends: Ends, subtype: str, head: str) -> None:
    """AS numbers are as wide as those in the message; 23456 stands for one that does not fit (RFC 6793)."""
    message = b"\xff" * 16 + octets("0013 04")
    body = octets(f"0003d090 | {head}") + message
    assert records.message(TIME, ends, message) == octets(f"{SECONDS} 0011 {subtype} {len(body):08x}") + body


@pytest.mark.parametrize("as4", [False, True])
def test_states_always_come_with_as_numbers_of_four_octets(as4: bool) -> None:
    ends = Ends(4_200_000_000, 65536, NODE, ROUTER, as4)
    body = octets("0003d090 | fa56ea00 00010000 0000 0001 c0a80a64 c0a80ac8 | 0006 0001")
    made = records.state_change(TIME, ends, records.ESTABLISHED, records.IDLE)
    assert made == octets(f"{SECONDS} 0011 0005 {len(body):08x}") + body
