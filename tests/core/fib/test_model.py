"""Ids, bucket counts and weights of nexthop groups."""

from __future__ import annotations

from collections import Counter

import pytest

from routerd.config.model import FibSection
from routerd.core.fib.ids import Ids
from routerd.core.fib.index import MOST
from routerd.core.fib.model import Shape, in_order, shares_of
from routerd.core.message import Gateway
from routerd.core.route import parse_address
from routerd.core.wanted import Wanted

A, B, C = (Gateway(parse_address(f"10.0.0.{i}"), 2) for i in (1, 2, 3))


def test_ids_keep_off_what_others_have_and_are_not_used_again_at_once() -> None:
    ids = Ids(range(1, 100))
    ids.reserve([1, 2, 7, 4000])
    assert ids.new() == 8
    ids.free(8)
    assert ids.new() == 9
    ids.reserve([10])
    assert ids.new() == 11


def test_an_id_at_the_end_of_the_range_lets_it_begin_anew() -> None:
    ids = Ids(range(7, 10))
    ids.reserve([9])
    assert ids.new() == 7
    assert ids.new() == 8
    with pytest.raises(OverflowError, match="7 to 9"):
        ids.new()
    ids.free(7)
    assert ids.new() == 7


def test_the_range_is_gone_through_in_order_when_it_begins_anew() -> None:
    ids = Ids(range(7, 12))
    assert [ids.new() for _ in range(5)] == [7, 8, 9, 10, 11]
    for each in (7, 9, 10):
        ids.free(each)
    assert [ids.new() for _ in range(3)] == [7, 9, 10]


def sizes(count: int, *, alike: bool = False) -> list[int]:
    """Return the sizes of so many groups of three, made one after the other with the defaults."""
    shape, used, found = Shape(FibSection()), 0, []
    for _ in range(count):
        found.append(shape.buckets(used, 3, alike=alike))
        used += found[-1]
    return found


def test_groups_get_smaller_as_they_get_many() -> None:
    """As the documentation has it: docs/failover.md."""
    found = sizes(MOST)
    assert found == sorted(found, reverse=True)
    counts = Counter(found)
    assert [counts[size] for size in (1024, 512, 256, 128)] == [114, 182, 546, 1365]
    assert counts[64] == MOST - 114 - 182 - 546 - 1365
    assert sum(found) <= FibSection().bucket_budget
    assert sum(found[:500]) == FibSection().bucket_budget // 4
    assert sum(found[:2000]) < FibSection().bucket_budget // 2


@pytest.mark.parametrize(("share", "size"), [(9, 1024), (5, 512), (3, 256), (2, 128)])
def test_a_size_lasts_until_a_share_of_the_budget_is_taken(share: int, size: int) -> None:
    shape, budget = Shape(FibSection()), FibSection().bucket_budget
    assert shape.buckets(budget // share, 3) == size
    assert shape.buckets(budget // share + 2, 3) == size // 2


def test_groups_that_are_to_be_alike_are_as_large_as_wanted_while_the_budget_lasts() -> None:
    found = sizes(1030, alike=True)
    assert found == [1024] * 1024 + [16] * 6  # the budget is spent


def test_a_small_budget_still_gives_every_group_a_few_buckets_for_each_member() -> None:
    shape = Shape(FibSection(bucket_budget=1024))
    assert shape.buckets(5000, 3) == 16
    assert shape.buckets(5000, 60) == 256
    assert shape.buckets(5000, 80) == 512


def test_hash_threshold_groups_have_no_buckets() -> None:
    assert Shape(FibSection(groups="hash-threshold")).buckets(0, 3) == 0
    assert Shape(FibSection(), resilient=False).buckets(0, 3) == 0


@pytest.mark.parametrize("buckets", [64, 1024, 16384])
@pytest.mark.parametrize("drained", [1, 2])
def test_a_drained_member_wants_no_bucket(buckets: int, drained: int) -> None:
    members = [Gateway(parse_address(f"10.0.0.{i}"), 2) for i in range(1, 6)]
    legs = Shape(FibSection()).weigh({m: int(m not in members[:drained]) for m in members}, buckets)
    total = sum(legs.values())
    # The kernel rounds the cumulated weights: nh_res_group_rebalance in net/ipv4/nexthop.c.
    lightest = sum(legs[member] for member in members[:drained])
    assert round(buckets * lightest / total) == 0
    assert len({legs[member] for member in members[drained:]}) == 1


def test_weights_are_equal_without_drains_and_when_all_are_drained() -> None:
    shape = Shape(FibSection())
    for drained in (set[Gateway](), {A, B}):
        assert shape.weigh(shares_of(Wanted((A, B)), (A, B), drained), 1024) == {A: 1, B: 1}


def test_a_hash_threshold_group_lets_a_drained_member_go() -> None:
    assert Shape(FibSection(groups="hash-threshold")).weigh({A: 0, B: 1}, 0) == {B: 1}


def test_order_is_by_address() -> None:
    assert in_order({C, A, B}) == [A, B, C]


def test_a_group_has_a_bucket_for_each_member_however_few_are_wanted() -> None:
    shape = Shape(FibSection(buckets=64))
    assert [shape.buckets(0, members) for members in (3, 16, 64, 100)] == [64, 64, 64, 100]


def test_a_leg_without_a_share_clings_to_a_bucket_if_its_weight_comes_to_half_of_one() -> None:
    """The kernel rounds to the nearest: nh_res_group_rebalance in net/ipv4/nexthop.c."""
    assert Shape.clings({A: 1, B: 2047}, {A: 0, B: 1}, 1024)
    assert not Shape.clings({A: 1, B: 2048}, {A: 0, B: 1}, 1024)
    assert Shape.clings({A: 1, B: 1, C: 4094}, {A: 0, B: 0, C: 1}, 1024), "both together"
    assert not Shape.clings({}, {}, 1024)
