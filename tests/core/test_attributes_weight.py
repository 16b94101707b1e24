"""What attributes take in memory is estimated such that memos keep to their bounds."""

from __future__ import annotations

from typing import Any

import pytest

from routerd.core.route import Address, Attributes, SegmentType, Unknown, weight

COUNT = 1000


@pytest.mark.parametrize(
    ("field", "values", "octets"),
    [
        ("as_path", ((SegmentType.SEQUENCE, tuple(range(70_000, 70_000 + COUNT))),), 36),
        ("as_path", tuple((SegmentType.SET, (number,)) for number in range(COUNT)), 100),
        ("communities", tuple(range(70_000, 70_000 + COUNT)), 36),
        ("extended_communities", tuple(number.to_bytes(8, "big") for number in range(COUNT)), 41),
        ("large_communities", tuple((number, 70_000, 80_000) for number in range(COUNT)), 148),
        ("cluster_list", tuple(Address(number.to_bytes(4, "big")) for number in range(COUNT)), 37),
        ("unknown", tuple(Unknown(0xC0, 99, number.to_bytes(300, "big")) for number in range(COUNT)), 400),
    ],
)
def test_more_of_anything_weighs_at_least_what_python_takes_for_it(field: str, values: Any, octets: int) -> None:
    """`octets` is what sys.getsizeof tells of a value and of its place in the tuple."""
    plain = Attributes()
    assert weight(plain._replace(**{field: values})) - weight(plain) >= COUNT * octets
