"""AS_PATH as operators read it."""

from __future__ import annotations

import pytest

from routerd.core.route import AsPath, SegmentType, format_as_path


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
