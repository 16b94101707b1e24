"""NLRI fields (RFC 4271 section 4.3): cut fast where all prefixes are alike, and as one by one everywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.core.route import Prefix
from routerd.session.nlri import join_nlri, split_nlri


def one_by_one(field: bytes, width: int) -> list[bytes]:
    """Return the prefixes of a field in `width` octets each, as the RFC has them; ValueError if it is malformed."""
    found = []
    while field:
        bits, octets = field[0], (field[0] + 7) // 8
        if bits > (width - 1) * 8 or len(field) < 1 + octets:
            raise ValueError
        number = int.from_bytes(field[1 : 1 + octets].ljust(width - 1, b"\0"), "big")
        spare = (width - 1) * 8 - bits
        found.append(bytes([bits]) + (number >> spare << spare).to_bytes(width - 1, "big"))
        field = field[1 + octets :]
    return found


@st.composite
def fields(draw: st.DrawFn) -> tuple[bytes, int]:
    """Runs of prefixes of one length, then something shorter, longer or cut off."""
    width = draw(st.sampled_from((5, 17)))
    bits = draw(st.integers(0, (width - 1) * 8))
    prefix = bytes([bits]) + draw(st.binary(min_size=(bits + 7) // 8, max_size=(bits + 7) // 8))
    return prefix * draw(st.integers(1, 40)) + draw(st.binary(max_size=12)), width


@given(fields())
def test_any_field(case: tuple[bytes, int]) -> None:
    field, width = case
    try:
        expected = one_by_one(field, width)
    except ValueError:
        with pytest.raises(ValueError, match="prefix"):
            split_nlri(field, width)
    else:
        assert split_nlri(field, width) == expected


@pytest.mark.parametrize("tail", ["10 0a00", "08 0a", "00", "19 0a000080", "20 0a000001", ""])
def test_a_run_of_alike_ones_and_another_one(tail: str) -> None:
    field = bytes.fromhex("18 0a0001 18 0a0002" + tail)
    assert split_nlri(field, 5) == one_by_one(field, 5)


@pytest.mark.parametrize(("width", "bits"), [(5, 24), (5, 17), (17, 120), (17, 113)])
def test_two_prefixes_that_are_as_long_as_an_address_are_two(width: int, bits: int) -> None:
    """The second one is the default route, of one octet."""
    field = bytes([bits]) + b"\x0a" * (width - 2) + b"\0"
    assert len(split_nlri(field, width)) == 2
    assert split_nlri(field, width) == one_by_one(field, width)


@pytest.mark.parametrize("width", [5, 17])
def test_a_prefix_that_is_longer_than_an_address_is_none(width: int) -> None:
    """However many octets follow, and whatever stands before."""
    longest = (width - 1) * 8
    whole = bytes([longest]) + b"\x0a" * (width - 1)
    for bits in range(longest + 1, 256):
        for octets in (width - 1, width, (bits + 7) // 8):
            field = bytes([bits]) + b"\x0a" * octets
            for each in (field, whole + field):
                with pytest.raises(ValueError, match=f"prefix length {bits} is above {longest}"):
                    split_nlri(each, width)


@given(st.lists(st.tuples(st.integers(0, 32), st.binary(min_size=4, max_size=4))), st.integers(5, 40))
def test_fields_are_filled_and_hold_all_prefixes_in_order(drawn: list[tuple[int, bytes]], room: int) -> None:
    prefixes = [Prefix(bytes([bits]) + address) for bits, address in drawn]
    prefixes = [Prefix(each) for prefix in prefixes for each in one_by_one(prefix[: 1 + (prefix[0] + 7) // 8], 5)]
    fields = list(join_nlri(prefixes, 5, room))
    assert [prefix for field in fields for prefix in split_nlri(field, 5)] == prefixes
    assert all(len(field) <= room for field in fields)
    for field, following in pairwise(fields):
        assert len(field) + 1 + (following[0] + 7) // 8 > room, "the next prefix had no room"


@pytest.mark.parametrize(
    ("width", "bits"), [(width, bits) for width in (5, 17) for bits in range((width - 1) * 8 + 1)]
)
def test_prefixes_of_one_length_take_the_octets_of_that_length(width: int, bits: int) -> None:
    address = ((1 << bits) - 1 << (width - 1) * 8 - bits).to_bytes(width - 1, "big")
    prefixes = [Prefix(bytes([bits]) + address)] * 70
    field = (bytes([bits]) + address[: (bits + 7) // 8]) * 70
    assert list(join_nlri(prefixes, width, 4096)) == [field]
    assert split_nlri(field, width) == prefixes
