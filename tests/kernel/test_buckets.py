"""Which buckets count as used after some were given to other members: no kernel is needed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from routerd.core.message import Gateway
from routerd.core.route import parse_address
from routerd.kernel import buckets
from routerd.kernel.buckets import Buckets

A, B = (Gateway(parse_address(f"10.0.0.{i}"), 2) for i in (1, 2))
GROUP, OTHER = 10, 11
TIMER = 60.0


class Clock:
    """The monotonic clock of what is tested."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(buckets, "time", SimpleNamespace(monotonic=lambda: self.now))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def lost(known: Buckets, clock: Clock, *gateways: Gateway) -> None:
    """Have the nexthop objects of these be deleted within the last tenth of a second."""
    clock.now += 0.1
    for gateway in gateways:
        known.lost(gateway, clock.now - 0.1)


def test_what_moved_as_its_gateway_was_lost_is_not_in_use_unless_a_flow_has_come_since(clock: Clock) -> None:
    known = Buckets()
    lost(known, clock, A)
    known.moved(GROUP, {A: [0, 1, 2]})
    clock.now += 5.0
    assert known.recent([5.05, 4.0, 6.0, 5.05], GROUP, TIMER) == {1, 2, 3}, "the last one has not moved"
    assert known.recent([5.05] * 3, OTHER, TIMER) == {0, 1, 2}


@pytest.mark.parametrize(("idle", "used"), [(4.96, True), (4.98, False), (5.12, False), (5.14, True)])
def test_the_clocks_may_disagree_a_little_about_when_it_was_lost(clock: Clock, idle: float, used: bool) -> None:
    known = Buckets()
    lost(known, clock, A)
    known.moved(GROUP, {A: [0]})
    clock.now += 5.0
    assert known.recent([idle], GROUP, TIMER) == ({0} if used else set())


def test_what_moved_from_a_gateway_that_was_not_lost_is_in_use(clock: Clock) -> None:
    known = Buckets()
    lost(known, clock, A)
    known.moved(GROUP, {A: [0], B: [1]})
    clock.now += 5.0
    assert known.recent([5.05, 5.05], GROUP, TIMER) == {1}


def test_what_moved_as_its_group_was_written_is_not_in_use_whatever_was_lost(clock: Clock) -> None:
    known = Buckets()
    known.written(GROUP, clock.now)
    clock.now += 1.0
    lost(known, clock, A)
    known.moved(GROUP, {A: [0, 1], B: [2, 3]})
    clock.now += 5.0
    assert known.recent([5.05, 6.1, 5.05, 6.1], GROUP, TIMER) == {2}


def test_of_a_gateway_that_was_lost_twice_the_last_time_counts(clock: Clock) -> None:
    known = Buckets()
    lost(known, clock, A)
    clock.now += 5.0
    lost(known, clock, A)
    known.moved(GROUP, {A: [0, 1]})
    clock.now += 5.0
    assert known.recent([5.05, 10.15], GROUP, TIMER) == {1}


def test_the_gateways_that_were_lost_last_are_remembered(clock: Clock) -> None:
    known = Buckets()
    some = [Gateway(parse_address(f"10.1.{i >> 8}.{i & 255}"), 2) for i in range(buckets._MOST_LOST - 1)]
    lost(known, clock, A, B, *some[:-1])
    lost(known, clock, A)
    known.moved(GROUP, {B: [0]})
    lost(known, clock, some[-1])
    known.moved(OTHER, {A: [0], B: [1], some[0]: [2], some[-1]: [3]})
    clock.now += 5.0
    assert known.recent([5.25], GROUP, TIMER) == set(), "what has moved before is known"
    assert known.recent([5.15, 5.25, 5.25, 5.05], OTHER, TIMER) == {1}


def test_the_times_at_which_buckets_were_handed_over_last_are_remembered(clock: Clock) -> None:
    known = Buckets()
    began = clock.now
    for index in range(buckets._MOST + 1):
        clock.now += 0.5
        known.handed(GROUP, clock.now, [index])
    idle = [clock.now - began - 0.5 * (index + 1) for index in range(buckets._MOST + 1)]
    assert known.recent(idle, GROUP, TIMER) == {0}


def test_what_a_hundred_members_give_to_one_that_joins_is_not_in_use(clock: Clock) -> None:
    known, nodes = Buckets(), [Gateway(parse_address(f"10.1.0.{i}"), 2) for i in range(100)]
    known.written(GROUP, clock.now)
    known.moved(GROUP, {node: [index] for index, node in enumerate(nodes)})
    clock.now += 5.0
    assert known.recent([5.0] * 100, GROUP, TIMER) == set()


def test_a_loss_long_ago_says_nothing_of_what_moves_now(clock: Clock) -> None:
    known = Buckets()
    lost(known, clock, A)
    clock.now += buckets._READ
    lost(known, clock, B)
    known.moved(GROUP, {A: [0], B: [1]})
    assert known.recent([30.15, 0.05], GROUP, TIMER) == {0}
