"""Lines of the log that repeat: some pass, the rest are counted, and all that is remembered is bounded."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog
from structlog.testing import CapturingLoggerFactory

from routerd.telemetry import repeats
from routerd.telemetry.ratelimit import RateLimiter
from routerd.telemetry.repeats import BURST, EVENT_BURST, INTERVAL, Repeats


def test_so_many_pass_and_the_rest_are_counted() -> None:
    limit: RateLimiter[str] = RateLimiter(burst=3, interval=10.0, kinds=5)
    assert [limit.passes("a", 0.0) for _ in range(5)] == [True, True, True, False, False]
    assert limit.passes("b", 1.0)
    assert list(limit.over(9.9)) == []
    assert list(limit.over(10.0)) == [("a", 2)]
    assert limit.passes("a", 10.0)
    assert list(limit.over(11.0)) == []  # none of b was held


def test_kinds_beyond_the_limit_share_one() -> None:
    limit: RateLimiter[int] = RateLimiter(burst=2, interval=10.0, kinds=4)
    passed = sum(limit.passes(kind, 0.0) for kind in range(1000))
    assert passed == 4 + 2
    assert list(limit.over(10.0)) == [(None, 994)]
    assert limit.passes(7, 10.0)


class Log:
    """A log with a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.repeats = Repeats(lambda: self.now)
        self.factory = CapturingLoggerFactory()
        structlog.configure(processors=[self.repeats], logger_factory=self.factory, cache_logger_on_first_use=False)

    def take(self) -> list[dict[str, object]]:
        """Return the lines that came since the last look."""
        lines = [dict(call.kwargs) for call in self.factory.logger.calls]
        self.factory.logger.calls.clear()
        return lines


@pytest.fixture
def log() -> Iterator[Log]:
    yield Log()
    structlog.reset_defaults()


def test_a_line_about_the_same_thing_is_held_back_and_counted(log: Log) -> None:
    for number in range(1000):
        structlog.get_logger().warning("malformed update", peer="k8s-w0", count=number)
    structlog.get_logger().warning("malformed update", peer="k8s-w1")
    lines = log.take()
    assert len(lines) == BURST + 1
    log.repeats.flush()
    assert log.take() == []
    log.now = INTERVAL
    log.repeats.flush()
    assert log.take() == [
        {"event": "repeated", "what": "malformed update", "times": 1000 - BURST, "about": "peer=k8s-w0"}
    ]
    structlog.get_logger().warning("malformed update", peer="k8s-w0")
    assert len(log.take()) == 1


def test_a_line_about_ever_new_things_is_held_back_too(log: Log) -> None:
    for number in range(5000):
        structlog.get_logger().warning("no session", peer=f"10.0.{number >> 8}.{number & 255}")
        structlog.get_logger().info("peer up", peer="k8s-w0")
    lines = log.take()
    assert sum(line["event"] == "no session" for line in lines) <= EVENT_BURST
    assert sum(line["event"] == "peer up" for line in lines) == BURST
    assert len(log.repeats._subjects._open) <= repeats.MAX_KINDS + 1
    log.repeats.flush(all_of_them=True)
    held = sum(int(str(line["times"])) for line in log.take())
    assert held + len(lines) == 10_000


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("hasty")
def test_lines_come_from_any_thread() -> None:
    """Each of which ends intervals of the others: no line fails, and none is forgotten."""
    clock = itertools.count(0.0, INTERVAL / 100)
    held = Repeats(lambda: next(clock))
    factory = CapturingLoggerFactory()
    structlog.configure(processors=[held], logger_factory=factory, cache_logger_on_first_use=False)

    def say(thread: int) -> None:
        for number in range(5000):
            with contextlib.suppress(structlog.DropEvent):
                structlog.get_logger().warning("odd", peer=str(number % 7), line=str(thread % 2))

    try:
        with ThreadPoolExecutor(4) as threads:
            for _ in threads.map(say, range(4)):
                pass
        held.flush(all_of_them=True)
    finally:
        structlog.reset_defaults()
    lines = [call.kwargs for call in factory.logger.calls]
    assert sum(line.get("times", 1) for line in lines) == 20_000
