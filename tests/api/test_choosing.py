"""Filters of routes, as they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.api.choosing import AsPattern, choice
from routerd.core.route import Attributes, SegmentType


def path(*asns: int) -> Attributes:
    return Attributes(as_path=((SegmentType.SEQUENCE, asns),) if asns else ())


@pytest.mark.parametrize(
    ("pattern", "taken", "left"),
    [
        ("65001", (1, 65001, 2), (1, 2)),
        ("^65001", (65001, 2), (2, 65001)),
        ("65001$", (2, 65001), (65001, 2)),
        ("_65001_65002_", (1, 65001, 65002), (65001, 1, 65002)),
        ("^65001 65002$", (65001, 65002), (65001, 65002, 65002)),
        ("^$", (), (1,)),
    ],
)
def test_as_numbers_in_a_row(pattern: str, taken: tuple[int, ...], left: tuple[int, ...]) -> None:
    chosen = choice({"as_path": pattern})
    assert chosen.takes(path(*taken))
    assert not chosen.takes(path(*left))


@given(st.lists(st.integers(1, 3), max_size=6), st.lists(st.integers(1, 3), max_size=3), st.booleans(), st.booleans())
def test_a_pattern_is_what_text_says(asns: list[int], wanted: list[int], begins: bool, ends: bool) -> None:
    """Held against the same search in a text."""
    pattern = AsPattern(tuple(wanted), begins, ends)
    text, part = "".join(map(str, asns)), "".join(map(str, wanted))
    expected = (
        text == part if begins and ends else text.startswith(part) if begins else text.endswith(part) if ends
        else part in text
    )  # fmt: skip
    assert pattern.matches(asns) == expected


def test_communities_of_both_sizes() -> None:
    tagged = Attributes(communities=(65001 << 16 | 7, 0xFFFF0000), large_communities=((65001, 1, 2),))
    for text in ("65001:7", "graceful-shutdown", "65001:1:2"):
        assert choice({"community": text}).takes(tagged)
    for text in ("65001:8", "no-export", "65001:1:3"):
        assert not choice({"community": text}).takes(tagged)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"community": "65536:1"}, "community is A:B"),
        ({"community": "1:2:4294967296"}, "community is A:B"),
        ({"community": "1"}, "community is A:B"),
        ({"as_path": ""}, "as_path is AS numbers"),
        ({"as_path": "4294967296"}, "as_path is AS numbers"),
        ({"as_path": "(a+)+$"}, "as_path is AS numbers"),
        ({"longer": "10.0.0.1/8"}, "longer is a prefix"),
        ({"state": "up"}, "state is in-fib"),
    ],
)
def test_what_is_no_filter_is_told(query: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        choice(query)
