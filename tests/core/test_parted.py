"""Tables are parted by their values, whichever objects these are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routerd.core.parted import parted


@given(st.lists(st.tuples(st.integers(), st.none() | st.integers(0, 3) | st.tuples(st.integers(0, 1)))))
def test_every_key_is_with_its_value_in_the_order_in_which_they_come(entries: list[tuple[int, object]]) -> None:
    found = parted(entries)
    values = list(dict.fromkeys(value for _, value in entries))
    assert list(found) == values
    assert all(keys == [key for key, value in entries if value == each] for each, keys in found.items())
