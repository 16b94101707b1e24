"""A layout that is as the weights want it stays so, whatever led there."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from routerd.core.layout import lay_out, made, rebalanced, surplus
from routerd.core.message import Member

BUCKETS = st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=8, max_size=64)
WEIGHTS = st.lists(st.sampled_from((0, 1, 1, 1)), min_size=5, max_size=5).filter(any)


@given(BUCKETS, WEIGHTS)
def test_what_was_laid_out_stays(buckets: list[tuple[int, bool]], weights: list[int]) -> None:
    members = [Member(id, weight) for id, weight in enumerate(weights, 1)]
    layout = lay_out(buckets, members)
    assert layout is not None  # all five are members
    assert all(layout[i] == owner for i, (owner, busy) in enumerate(buckets) if busy)
    again = [(owner, busy) for owner, (_, busy) in zip(layout, buckets, strict=True)]
    assert lay_out(again, members) == layout


@given(BUCKETS, WEIGHTS)
def test_idle_buckets_go_where_the_weights_want_them(buckets: list[tuple[int, bool]], weights: list[int]) -> None:
    idle = [(owner, False) for owner, _ in buckets]
    layout = lay_out(idle, [Member(id, weight) for id, weight in enumerate(weights, 1)])
    assert layout is not None
    counts, heavy = Counter(layout), [id for id, weight in enumerate(weights, 1) if weight]
    assert sum(counts[id] for id in heavy) == len(layout)
    assert max(counts[id] for id in heavy) - min(counts[id] for id in heavy) <= 1
    assert surplus(Counter(layout), dict(enumerate(weights, 1))) == 0


@given(BUCKETS, WEIGHTS, st.randoms(use_true_random=False))
def test_what_has_no_surplus_is_left_as_it_is_whatever_is_busy(
    buckets: list[tuple[int, bool]], weights: list[int], chance: random.Random
) -> None:
    members = [Member(id, weight) for id, weight in enumerate(weights, 1)]
    layout = lay_out([(owner, False) for owner, _ in buckets], members)
    assert layout is not None
    chance.shuffle(layout)
    assert surplus(Counter(layout), dict(enumerate(weights, 1))) == 0
    again = [(owner, busy) for owner, (_, busy) in zip(layout, buckets, strict=True)]
    assert lay_out(again, members) == layout


def test_a_new_group_is_laid_out_as_the_kernel_does_it() -> None:
    """The last member first, and the sum of weights rounded to the nearest bucket."""
    assert made(16, [Member(1, 1), Member(2, 1), Member(3, 1)]) == [(3, 5), (2, 6), (1, 5)]
    assert made(8, [Member(1, 1), Member(2, 3)]) == [(2, 6), (1, 2)]
    assert made(8, [Member(1, 1), Member(2, 0), Member(3, 1)]) == [(3, 4), (1, 4)]
    assert made(8, [Member(1, 1), Member(2, 100)]) == [(2, 8)]
    assert made(2, [Member(1, 1), Member(2, 3)]) == [(2, 1), (1, 1)]  # half a bucket is one


def test_of_who_has_as_much_to_give_up_who_carries_flows_keeps_more() -> None:
    busy, idle = (1, True), (2, False)
    layout = lay_out([busy] * 4 + [idle] * 3, [Member(1, 1), Member(2, 1)])
    assert layout is not None
    assert Counter(layout) == {1: 4, 2: 3}


def test_what_is_left_goes_to_who_cannot_give_it_up_and_the_others_share_alike() -> None:
    layout = lay_out([(1, True)] * 3 + [(2, False)] * 4, [Member(id, 1) for id in (1, 2, 3)])
    assert layout is not None
    assert Counter(layout) == {1: 3, 2: 2, 3: 2}


def test_a_group_whose_members_have_all_gone_has_nothing_to_continue() -> None:
    assert lay_out([(1, True), (2, False)], [Member(3, 1)]) is None


def test_surplus_is_what_is_to_move() -> None:
    assert surplus(Counter([1, 1, 1, 1]), {1: 1, 2: 1}) == 2
    assert surplus(Counter([1, 1, 3, 3]), {1: 1, 2: 1}) == 2
    assert surplus(Counter([1, 1, 2]), {1: 1, 2: 1}) == surplus(Counter([1, 2, 2]), {1: 1, 2: 1}) == 0
    assert surplus(Counter([1, 1]), {1: 0, 2: 1}) == 2


def test_what_is_left_continues_the_run_before_it() -> None:
    """Fewer runs are fewer steps for the kernel."""
    assert lay_out([(1, True), (9, False), (2, True), (9, False)], [Member(1, 1), Member(2, 1)]) == [1, 1, 2, 2]


@given(BUCKETS, st.randoms(use_true_random=False))
def test_the_kernel_is_foreseen_to_hand_on_what_is_idle_in_the_order_of_the_index(
    buckets: list[tuple[int, bool]], dice: random.Random
) -> None:
    """What the kernel itself does is compared with this in tests/kernel/test_arranging.py."""
    owners, busy = [owner for owner, _ in buckets], [busy for _, busy in buckets]
    wanted = Counter(dict.fromkeys(range(1, 6), 0))
    wanted.update(dice.choices(range(1, 6), k=len(owners)))
    layout = rebalanced(owners, busy, wanted)
    moved = [index for index, owner in enumerate(layout) if owner != owners[index]]
    have, got = Counter(owners), Counter(layout)
    assert not any(busy[index] for index in moved)
    for id in wanted:
        given = [index for index in moved if owners[index] == id]
        idle = [index for index, owner in enumerate(owners) if owner == id and not busy[index]]
        assert given == idle[: len(given)]
        assert min(have[id], wanted[id]) <= got[id] <= max(have[id], wanted[id])
    short = {id: wanted[id] - got[id] for id in wanted if got[id] < wanted[id]}
    assert not short or all(busy[i] for i, owner in enumerate(layout) if got[owner] > wanted[owner])


def test_who_is_to_have_no_bucket_gives_all_that_are_idle() -> None:
    idle = [False] * 4
    assert rebalanced([9, 1, 9, 9], idle, {1: 2, 2: 2}) == [1, 1, 2, 2]
    assert rebalanced([9, 1, 9, 9], [False, False, True, False], {1: 2, 2: 2}) == [1, 1, 9, 2]
