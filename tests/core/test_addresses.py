"""Addresses and prefixes: how they are written, and which lies in which."""

from __future__ import annotations

import pytest

from routerd.core.route import (
    Family,
    contains,
    covers,
    family_of,
    forget,
    format_address,
    format_prefix,
    parse_address,
    parse_prefix,
)


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "255.255.255.255", "::", "fd00:10::1", "::ffff:10.0.0.1", "::fffe:a00:1", "1:0:0:2::3"]
)
def test_an_address_is_written_as_it_is_read(text: str) -> None:
    """RFC 5952; of an IPv4-mapped one the end is (section 5)."""
    assert format_address(parse_address(text)) == text


def test_a_prefix_is_its_length_and_its_address() -> None:
    for text, octets in (("10.0.0.0/8", b"\x08\x0a\0\0\0"), ("fd00::/16", b"\x10\xfd\0" + bytes(14))):
        assert parse_prefix(text) == octets
        assert format_prefix(parse_prefix(text)) == text
    assert family_of(parse_prefix("0.0.0.0/0")) is Family.IPV4
    assert family_of(parse_prefix("::/0")) is Family.IPV6
    with pytest.raises(ValueError, match="host bits"):
        parse_prefix("10.0.0.1/8")


@pytest.mark.parametrize(
    ("outer", "inner", "holds"),
    [
        ("10.0.0.0/8", "10.0.0.0/8", True),
        ("10.0.0.0/8", "10.255.0.0/16", True),
        ("10.0.0.0/8", "11.0.0.0/16", False),
        ("10.0.0.0/8", "10.0.0.0/7", False),
        ("10.1.2.3/32", "10.1.2.3/32", True),
        ("10.1.2.2/31", "10.1.2.3/32", True),
        ("10.1.2.2/31", "10.1.2.4/32", False),
        ("0.0.0.0/0", "255.0.0.0/8", True),
        ("0.0.0.0/0", "::/0", False),
        ("fd00:10::/64", "fd00:10::ffff:0:0:1/128", True),
        ("fd00:10::/64", "fd00:10:0:1::/64", False),
    ],
)
def test_a_prefix_holds_itself_and_what_is_more_specific(outer: str, inner: str, holds: bool) -> None:
    assert covers(parse_prefix(outer), parse_prefix(inner)) is holds
    address, _, bits = inner.partition("/")
    if bits in ("32", "128"):
        assert contains(parse_prefix(outer), parse_address(address)) is holds


def test_what_a_table_does_not_have_is_not_missed() -> None:
    one, other = parse_prefix("10.0.0.0/8"), parse_prefix("11.0.0.0/8")
    table = {one: 1}
    forget(table, [other, one, one])
    assert table == {}
