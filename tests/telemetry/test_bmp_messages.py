"""BMP messages, octet for octet as RFC 7854, RFC 8671 and RFC 9069 lay them out."""

from __future__ import annotations

import pytest

from routerd.core.route import Family, parse_address
from routerd.session.open import decode_open
from routerd.telemetry.bmp import messages
from routerd.telemetry.bmp.messages import Down, Gauge, Peer, Rib, Session

ROUTER, ROUTER_ID = parse_address("192.168.10.200"), parse_address("10.0.0.1")
NODE, NODE6 = parse_address("192.168.10.100"), parse_address("fd00:10::100")
TIME = 1_700_000_000.25
STAMP = "6553f100 0003d090"
PEER = Peer(NODE, 65001, ROUTER_ID)
HEAD = f"00 00 {'00' * 8} {'00' * 12} c0a80a64 0000fde9 0a000001 {STAMP}"
HEAD6 = f"00 80 {'00' * 8} {NODE6.hex()} fa56ea00 0a000001 {STAMP}"
LOC_RIB = f"03 00 {'00' * 8} {'00' * 16} 0000fde8 0a000001 {STAMP}"
UPDATE = messages.bgp_message(2, bytes(4))


def message(kind: int, text: str, rest: bytes = b"") -> bytes:
    """Return a message of its body: octets in hexadecimal, and what follows them."""
    body = bytes.fromhex(text) + rest
    return bytes((3,)) + (6 + len(body)).to_bytes(4, "big") + bytes((kind,)) + body


def test_a_session_begins_with_who_speaks_and_ends_with_why() -> None:
    assert messages.initiation("gw1", "routerd 0.1") == message(
        4, "0001 000b 726f757465726420302e31 0002 0003 677731"
    )
    assert messages.termination(2) == message(5, "0001 0002 0002")


@pytest.mark.parametrize(
    ("peer", "head", "local", "address"),
    [
        (PEER, HEAD, ROUTER, "00" * 12 + "c0a80ac8"),
        (Peer(NODE6, 4_200_000_000, ROUTER_ID), HEAD6, NODE6, NODE6.hex()),
    ],
)
def test_a_peer_that_is_up_comes_with_both_ends_and_both_opens(
    peer: Peer, head: str, local: bytes, address: str
) -> None:
    session = Session(local, 179, 40000, b"sent", b"received")
    assert messages.peer_up(TIME, peer, session) == message(3, f"{head} {address} 00b3 9c40", b"sentreceived")


@pytest.mark.parametrize(
    ("reason", "said", "data"),
    [
        (Down.NOTIFICATION_SENT, b"notification", b"\1notification"),
        (Down.CLOSED_HERE, b"", b"\2\0\0"),
        (Down.NOTIFICATION_RECEIVED, b"notification", b"\3notification"),
        (Down.CLOSED_THERE, b"", b"\4"),
    ],
)
def test_a_peer_that_is_down_comes_with_why(reason: Down, said: bytes, data: bytes) -> None:
    assert messages.peer_down(TIME, PEER, reason, said) == message(2, HEAD, data)


@pytest.mark.parametrize(("rib", "flags"), [(Rib.PRE_POLICY, 0), (Rib.POST_POLICY, 0x40), (Rib.OUT, 0x50)])
def test_the_flags_say_of_which_rib_an_update_is(rib: Rib, flags: int) -> None:
    assert messages.monitoring(TIME, PEER, rib, UPDATE) == message(0, f"00 {flags:02x} {HEAD[6:]}", UPDATE)
    of_ipv6 = Peer(NODE6, 4_200_000_000, ROUTER_ID)
    assert messages.monitoring(TIME, of_ipv6, rib, UPDATE) == message(0, f"00 {flags | 0x80:02x} {HEAD6[6:]}", UPDATE)


def test_statistics_are_as_wide_as_their_kind_says() -> None:
    counts = (
        (Gauge.ADJ_RIB_IN, 1 << 33, None),
        (Gauge.LOC_RIB, 5, None),
        (Gauge.TREATED_AS_WITHDRAW, 7, None),
        (Gauge.ADJ_RIB_OUT, 4, None),
        (Gauge.ADJ_RIB_OUT_BY_FAMILY, 3, Family.IPV6),
    )
    rows = (
        "0007 0008 0000000200000000 0008 0008 0000000000000005 000b 0004 00000007 000f 0008 0000000000000004",
        "0011 000b 0002 01 0000000000000003",
    )
    assert messages.statistics(TIME, PEER, counts) == message(1, f"{HEAD} 00000005 {' '.join(rows)}")


def test_a_counter_that_overflows_begins_anew() -> None:
    made = messages.statistics(TIME, PEER, [(Gauge.TREATED_AS_WITHDRAW, (1 << 32) + 5, None)])
    assert made == message(1, f"{HEAD} 00000001 000b 0004 00000005")


@pytest.mark.parametrize(("asn", "short"), [(65000, 65000), (65535, 65535), (65536, 23456), (4_200_000_000, 23456)])
def test_the_opens_of_the_loc_rib_say_its_families_and_its_as(asn: int, short: int) -> None:
    head = bytes.fromhex(LOC_RIB.replace("0000fde8", f"{asn:08x}")) + bytes(20)
    made = messages.loc_rib_up(TIME, Peer(b"", asn, ROUTER_ID))
    assert made == message(3, "", made[6:]), "its length is its own"
    assert made[6 : 6 + len(head)] == head
    opened, again, information = [*messages.split(made[6 + len(head) : -10]), made[-10:]]
    assert opened == again
    assert information == bytes.fromhex("0003 0006") + b"global"
    assert opened[:16] == b"\xff" * 16
    assert opened[16:19] == bytes.fromhex(f"{len(opened):04x} 01")
    said = decode_open(opened[19:])
    assert (said.asn, said.hold_time, said.router_id, said.families) == (asn, 0, ROUTER_ID, frozenset(Family))
    assert int.from_bytes(opened[20:22], "big") == short


def test_messages_that_follow_each_other_are_told_apart() -> None:
    found = [messages.bgp_message(2, bytes(size)) for size in (4, 0, 300)]
    assert list(messages.split(b"".join(found))) == found
    assert list(messages.split(b"")) == []
    assert messages.open_message(b"body") == b"\xff" * 16 + bytes.fromhex("0017 01") + b"body"
