"""What asyncio tells of errors that nobody has waited for: wherever it does, the log is not held up."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest
import structlog

from routerd.service.watchers import Watchers
from routerd.telemetry.bus import Bus
from routerd.telemetry.mqtt.thread import BrokerThread
from routerd.telemetry.tap import Tap
from tests.daemon.harness import becomes


@pytest.fixture(name="bus")
def _bus() -> Iterator[Bus]:
    """A bus that the collector looks for garbage under."""
    bus = Bus(clock=lambda: float(gc.collect() * 0))
    structlog.configure(processors=[Tap(bus), structlog.testing.LogCapture()])
    yield bus
    structlog.reset_defaults()


@pytest.mark.timeout(20)
async def test_a_task_that_has_failed_may_be_found_in_the_middle_of_a_line(bus: Bus) -> None:
    watchers = Watchers(lambda: None)
    asyncio.get_running_loop().set_exception_handler(watchers.unhandled)

    async def fail() -> None:
        raise ValueError("nobody waits")

    task = asyncio.ensure_future(fail())
    await asyncio.wait([task])
    garbage: list[object] = [task]
    garbage.append(garbage)
    del task, garbage
    structlog.get_logger().info("a line")
    await becomes(lambda: [each.event for each in bus.read(0, 10)[0]], ["a line", "watcher failed"])
    assert watchers.failures["event loop"].text == "ValueError: nobody waits"


async def test_what_fails_in_the_thread_of_a_broker_is_told_at_home() -> None:
    watchers = Watchers(lambda: None)
    asyncio.get_running_loop().set_exception_handler(watchers.unhandled)

    async def talk() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0.1)

    thread = BrokerThread("test", 0.1, talk, lambda error: None)
    thread.start()
    with structlog.testing.capture_logs() as lines:
        await becomes(watchers.failures.keys, {"event loop"})
    assert lines[0]["reason"] == "ZeroDivisionError: division by zero"
    await thread.close(wait=False)
