"""AS_PATH as operators read it, and its length."""

from __future__ import annotations

import pytest

from routerd.core.route import AsPath, SegmentType, as_path_length, first_as, format_as_path


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (((SegmentType.SEQUENCE, (65001, 4200000000)),), "65001 4200000000"),
        (((SegmentType.SEQUENCE, (65001,)), (SegmentType.SET, (65003, 65004))), "65001 {65003,65004}"),
        (((SegmentType.CONFED_SEQUENCE, (65010, 65011)), (SegmentType.SEQUENCE, (65001,))), "(65010 65011) 65001"),
    ],
)
def test_each_kind_of_segment(path: AsPath, text: str) -> None:
    assert format_as_path(path) == text


def test_the_length_of_a_path_is_what_decisions_are_made_by() -> None:
    """A set counts one, whatever it holds (RFC 4271 section 9.1.2.2), a confederation's segments none (RFC 5065)."""
    assert as_path_length(()) == 0
    segments = [
        (SegmentType.CONFED_SEQUENCE, (1, 2)),
        (SegmentType.SEQUENCE, (3, 4, 5)),
        (SegmentType.SET, (6, 7)),
        (SegmentType.CONFED_SET, (8,)),
    ]
    assert [as_path_length((segment,)) for segment in segments] == [0, 3, 1, 0]
    assert as_path_length(tuple(segments)) == 4


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ((), None),
        (((SegmentType.SEQUENCE, (1, 2)), (SegmentType.SEQUENCE, (3,))), 1),
        (((SegmentType.SET, (1,)), (SegmentType.SEQUENCE, (3,))), None),
        (((SegmentType.CONFED_SEQUENCE, (1,)), (SegmentType.SEQUENCE, (3,))), None),
    ],
)
def test_the_neighbour_is_the_first_of_a_sequence(path: AsPath, first: int | None) -> None:
    assert first_as(path) == first
