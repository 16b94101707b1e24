"""Memos hold what they say, within their bound."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from routerd.core.memo import ENTRY, Memo

LIMIT = 10 * ENTRY


@given(st.lists(st.integers(0, 12 * ENTRY), max_size=60))
def test_the_octets_of_a_memo_are_those_of_its_entries(weights: list[int]) -> None:
    memo: Memo[int, int] = Memo(LIMIT)
    for key, weight in enumerate(weights):
        assert memo.remember(key, weight, weight) == weight
        assert memo[key] == weight
        assert memo.octets == sum(memo.values()) + ENTRY * len(memo)
        assert memo.octets <= LIMIT or len(memo) == 1, "what is too large alone is kept until the next one comes"


def test_a_memo_is_full_at_its_limit_and_not_before() -> None:
    memo: Memo[int, int] = Memo(LIMIT)
    for key in range(10):
        memo.remember(key, key)
    assert len(memo) == 10
    memo.remember(10, 10)
    assert list(memo) == [10]
