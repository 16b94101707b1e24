"""Which groups are to be read, and when."""

from __future__ import annotations

from routerd.core.fib.model import Group, Wanted
from routerd.core.pair.reading import BUCKETS, Reading


def test_a_number_of_buckets_is_read_at_a_time_and_one_group_at_least() -> None:
    groups = {id: Group(id, Wanted(()), BUCKETS // 2) for id in range(1, 5)} | {5: Group(5, Wanted(()), 2 * BUCKETS)}
    reading = Reading()
    reading.soon([5, 1, 2, 9, 3])
    reading.soon([1])
    assert [reading.some(groups, 0.0) for _ in range(4)] == [(5,), (1, 2), (9, 3), ()]
    assert not reading


def test_a_group_that_is_gone_takes_no_room() -> None:
    groups = {1: Group(1, Wanted(()), BUCKETS - 1), 2: Group(2, Wanted(()), 1)}
    reading = Reading()
    reading.soon([9, 1, 2])
    assert reading.some(groups, 0.0) == (9, 1, 2)


def test_what_is_to_be_read_soon_is_so_until_it_is_its_turn() -> None:
    reading = Reading()
    reading.soon([1, 2])
    reading.forget(2)
    assert reading
    assert reading.some({}, 0.0) == (1,)
    assert not reading


def test_a_group_is_read_at_its_time() -> None:
    reading = Reading()
    for id in (1, 2, 3):
        reading.at(id, 10.0 + id)
    reading.at(1, None)
    assert [id for id in range(5) if reading.is_planned(id)] == [2, 3]
    assert reading.next == 12.0
    assert reading.some({}, 11.9) == ()
    reading.forget(2)
    assert reading.some({}, 13.0) == (3,)
    assert reading.next is None


def test_groups_that_wait_for_the_partner_s_word() -> None:
    reading = Reading()
    for id in (8, 1, 2, 4):
        reading.wait(id)
    reading.forget(4)
    assert [reading.heard(2), reading.heard(2), reading.heard(5)] == [True, False, False]
    assert not reading
    assert reading.some({}, 0.0) == ()
    reading.heard_all()
    assert reading.some({}, 0.0) == (1, 8)
    assert not reading.heard(1)
