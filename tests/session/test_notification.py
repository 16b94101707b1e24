"""NOTIFICATIONs in words, and text of peers that must not act on a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.core.message import Notification
from routerd.session.notification import MAX_COMMUNICATION, communication, encapsulated, hardened, name, words
from routerd.session.printable import printable


def received(code: int, subcode: int, data: bytes = b"") -> str:
    return words(Notification(False, code, subcode, data))


@pytest.mark.parametrize(
    ("code", "subcode", "called"),
    [
        (1, 0, "Message Header Error, unspecific"),
        (2, 2, "Bad Peer AS"),
        (2, 1, "Unsupported Version Number"),
        (2, 11, "Role Mismatch"),
        (2, 12, "OPEN Message Error, subcode 12"),
        (3, 11, "Malformed AS_PATH"),
        (4, 0, "Hold Timer Expired"),
        (5, 3, "Unexpected Message in Established State"),
        (6, 3, "Peer De-configured"),
        (6, 9, "Hard Reset"),
        (6, 10, "BFD Down"),
        (6, 77, "Cease, subcode 77"),
        (7, 1, "Invalid Message Length"),
        (8, 0, "Send Hold Timer Expired"),
        (9, 0, "Loss of LSDB Synchronization"),
        (99, 3, "error 99, subcode 3"),
    ],
)
def test_every_code_has_its_name(code: int, subcode: int, called: str) -> None:
    assert name(code, subcode) == called


@pytest.mark.parametrize("length", [1, 128, 129, 255])
def test_a_shutdown_communication_is_shown_whole(length: int) -> None:
    text = "x" * length
    assert received(6, 2, bytes([length]) + text.encode()).endswith(f'Administrative Shutdown ("{text}")')


@pytest.mark.parametrize("data", [b"", b"\0", b"\0more"])
def test_an_empty_communication_is_none(data: bytes) -> None:
    assert received(6, 2, data) == "NOTIFICATION 6/2 received: Administrative Shutdown"


@pytest.mark.parametrize("raw", [b"A" * 65514, b"\6\6" + b"A" * 65512, b"\xff" * 65514])
@pytest.mark.parametrize("subcode", [2, 6, 9])
def test_no_text_of_a_peer_floods_a_screen(subcode: int, raw: bytes) -> None:
    assert len(received(6, subcode, raw)) < 4 * 255 + 100  # an octet may be shown as four


def test_text_of_a_peer_is_readable_and_harmless() -> None:
    said = 'Wartung um fünf ⚡ \x1b[2J\u202eabc\n"\\'.encode() + b"\xff"
    assert received(6, 4, bytes([len(said)]) + said) == (
        'NOTIFICATION 6/4 received: Administrative Reset ("Wartung um fünf ⚡ \\x1b[2J\\u202eabc\\n\\"\\\\\\xff")'
    )


@given(st.binary(max_size=255))
def test_nothing_that_acts_on_a_terminal_gets_through(raw: bytes) -> None:
    shown = printable(raw)
    assert all(unicodedata.category(character)[0] not in "C" for character in shown)
    assert "\n" not in shown
    assert received(6, 2, raw).isprintable()
    assert received(3, 1, raw).isprintable()


@given(st.text(st.characters(exclude_categories=["C", "Z"], exclude_characters='\\"'), max_size=80))
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    assert printable(text.encode()) == text


def test_a_hard_reset_says_what_is_inside() -> None:
    inside = b"\6\2\4gone"
    assert received(6, 9, inside) == ('NOTIFICATION 6/9 received: Hard Reset of 6/2 Administrative Shutdown ("gone")')
    assert received(6, 9) == "NOTIFICATION 6/9 received: Hard Reset"
    assert encapsulated(Notification(False, 6, 9, inside)) == Notification(False, 6, 2, b"\4gone")
    assert encapsulated(Notification(True, 6, 9, b"\6\2")) == Notification(True, 6, 2)
    assert encapsulated(Notification(False, 6, 9, b"\6")) is None
    assert encapsulated(Notification(False, 6, 2, inside)) is None


def test_data_with_a_meaning_are_numbers() -> None:
    assert received(6, 1, b"\0\1\1\0\0\3\xe8").endswith("(AFI 1 SAFI 1, at most 1000)")
    assert received(2, 1, b"\0\4").endswith("(it speaks version 4)")
    assert received(2, 2, b"\xfd\xe8").endswith("(data fde8)"), "an AS number, and no version"
    assert received(1, 2, b"\0\x12").endswith("(length 18)")
    assert received(1, 3, b"\6").endswith("(type 6)")
    assert received(5, 1, b"\2").endswith("(message of type 2)")
    assert received(6, 2, b"\x09short").endswith("(data 0973686f7274)")


@pytest.mark.parametrize(
    ("code", "subcode", "data"),
    [
        (2, 1, b"\0\0\4"),
        (1, 2, b"\x12"),
        (1, 3, b"\6\6"),
        (5, 1, b"\2\2"),
        (6, 1, b"\0\1\1"),
        (6, 1, b"\0\1\1\0\0\0\3\xe8"),
    ],
)
def test_data_of_another_size_than_that_of_their_meaning_are_shown_as_they_are(
    code: int, subcode: int, data: bytes
) -> None:
    assert received(code, subcode, data).endswith(f"(data {data.hex()})")


def test_why_the_router_has_sent_it_counts_for_more_than_its_data() -> None:
    said = Notification(True, 6, 1, b"\0\1\1\0\0\3\xe8")
    shown = "NOTIFICATION 6/1 sent: Maximum Number of Prefixes Reached"
    assert words(said, "too many") == f"{shown} (too many)"
    assert words(said) == f"{shown} (AFI 1 SAFI 1, at most 1000)"
    assert words(Notification(True, 6, 1)) == shown


def test_what_is_shown_whole_has_no_dots() -> None:
    assert received(3, 1, b"x" * MAX_COMMUNICATION).endswith("x)")
    assert received(3, 1, b"x" * (MAX_COMMUNICATION + 1)).endswith("x...)")
    assert received(3, 1, b"\xff" * 32).endswith(f"(data {'ff' * 32})")
    assert received(3, 1, b"\xff" * 33).endswith(f"(data {'ff' * 32}...)")


@pytest.mark.parametrize(("code", "subcode"), [(4, 0), (8, 0), (6, 4), (6, 9)])
def test_an_expired_timer_and_an_operators_reset_do_not_become_a_hard_reset(code: int, subcode: int) -> None:
    assert hardened(code, subcode, b"") == (code, subcode, b"")


@pytest.mark.parametrize(("code", "subcode"), [(6, 2), (6, 3), (3, 1), (2, 4), (5, 8)])
def test_any_other_notification_ends_the_routes_too_in_a_hard_reset(code: int, subcode: int) -> None:
    """RFC 8538 section 3: its data are code and subcode, and the data of these."""
    assert hardened(code, subcode, b"data") == (6, 9, bytes([code, subcode]) + b"data")


def test_a_communication_is_cut_between_characters() -> None:
    data = communication("ü" * 200)
    assert (data[0], data[1:].decode()) == (254, "ü" * 127)
    assert communication("") == b""
