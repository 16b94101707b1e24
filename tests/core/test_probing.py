"""When gateways are probed."""

import itertools

from routerd.core.message import Gateway
from routerd.core.probing import LONGEST, Schedule
from routerd.core.route import parse_address

NODES = [Gateway(parse_address(f"10.0.0.{host}"), 2) for host in range(1, 41)]


def asked(schedule: Schedule, silent: list[Gateway], start: float, seconds: float, interval: float) -> list[float]:
    """The times at which the first node is probed, a round each interval."""
    rounds = (start + number * interval for number in range(int(seconds / interval)))
    return [now for now in rounds if NODES[0] in schedule.due(NODES, silent, [], now)]


def test_who_answers_is_asked_each_time() -> None:
    assert len(asked(Schedule(0.25), [], 0.0, 100.0, 0.25)) == 400


def test_the_silent_are_asked_less_and_less() -> None:
    schedule = Schedule(0.25)
    assert asked(schedule, NODES, 0.0, 16.0, 0.25) == [0.0, 0.25, 0.75, 1.75, 3.75, 7.75, 15.75]
    times = asked(schedule, NODES, 16.0, 3600.0, 0.25)
    pauses = {later - earlier for earlier, later in itertools.pairwise(times[1:])}
    assert pauses == {LONGEST}


def test_a_long_interval_is_kept() -> None:
    assert asked(Schedule(60.0), NODES, 0.0, 300.0, 60.0) == [0.0, 60.0, 120.0, 180.0, 240.0]


def test_who_answered_meanwhile_is_asked_anew_from_the_start() -> None:
    schedule = Schedule(0.25)
    asked(schedule, NODES, 0.0, 100.0, 0.25)
    assert schedule.due(NODES, [], [], 100.0) == NODES
    assert asked(schedule, NODES, 101.0, 2.0, 0.25) == [101.0, 101.25, 101.75, 102.75]


def test_who_speaks_is_asked_at_once() -> None:
    schedule = Schedule(0.25)
    asked(schedule, NODES, 0.0, 100.0, 0.25)
    assert schedule.due(NODES, NODES, NODES[1:2], 100.0) == NODES[1:2]


def test_a_gateway_that_is_not_watched_is_forgotten() -> None:
    """As while its link is down: when it is back it is asked at once."""
    schedule = Schedule(0.25)
    asked(schedule, NODES, 0.0, 100.0, 0.25)
    schedule.due([], NODES, [], 100.0)
    assert schedule.due(NODES, NODES, [], 100.25) == NODES
