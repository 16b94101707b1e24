"""What may never come back is in nobody's way: not of asyncio's own threads, and not of the end."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from routerd.api import caller
from routerd.api.caller import Caller, described
from routerd.config.metrics import MetricsSection
from routerd.detached import detached, finish, lasting
from routerd.service import exposing
from tests.daemon.harness import becomes
from tests.service.test_exposing import LISTEN, answers, exposed


@pytest.fixture
def stuck() -> Iterator[threading.Event]:
    """What work waits for; it comes at the end of the test."""
    event = threading.Event()
    yield event
    event.set()
    finish(5)


async def test_it_returns_and_raises() -> None:
    assert await detached(int, "7", base=8) == 7
    with pytest.raises(ValueError, match="invalid literal"):
        await detached(int, "x")


async def test_what_has_failed_leaves_nothing_to_the_collector() -> None:
    """Which looks seldom."""

    class FailedError(Exception):
        pass

    def fail() -> None:
        raise FailedError

    gc.disable()
    try:
        try:
            await detached(fail)
        except FailedError as error:
            left = weakref.ref(error)
        await becomes(lambda: left() is None)
    finally:
        gc.enable()


async def test_much_that_hangs_leaves_the_threads_that_the_kernel_is_read_in(stuck: threading.Event) -> None:
    waiting = [asyncio.ensure_future(detached(stuck.wait)) for _ in range(50)]
    await asyncio.sleep(0)  # one turn of the loop, in which each begins
    async with asyncio.timeout(5):
        assert await asyncio.to_thread(int, "1") == 1
    begun = time.monotonic()
    assert 10 < lasting(begun + 11) < 20
    finish(0.1)
    assert time.monotonic() - begun < 1
    stuck.set()
    assert await asyncio.gather(*waiting) == [True] * 50
    finish(5)
    assert lasting(time.monotonic() + 11) == 0


async def test_who_gives_up_waiting_leaves_it_to_its_thread(stuck: threading.Event) -> None:
    begun, done = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        stuck.wait()
        done.set()

    waiting = asyncio.ensure_future(detached(work))
    assert await asyncio.to_thread(begun.wait, 5)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    stuck.set()
    finish(5)
    assert done.is_set()


async def test_a_user_database_that_does_not_answer_costs_the_name_alone(
    stuck: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller, "PATIENCE", 0.05)
    asked = []

    def getpwuid(uid: int) -> SimpleNamespace:
        asked.append(uid)
        stuck.wait()
        return SimpleNamespace(pw_name="ann")

    monkeypatch.setattr(caller.pwd, "getpwuid", getpwuid)
    ann, ben = Caller(7, 1000, frozenset()), Caller(8, 1001, frozenset())
    async with asyncio.timeout(5):
        told = await asyncio.gather(*(described(who) for who in [ann] * 50 + [ben]))
        assert await asyncio.to_thread(int, "1") == 1
    assert told == ["unknown user (uid 1000, pid 7)"] * 50 + ["unknown user (uid 1001, pid 8)"]
    assert sorted(asked) == [1000, 1001], "once each at a time"
    stuck.set()
    assert await described(ann) == "ann (uid 1000, pid 7)"


async def test_a_file_that_does_not_answer_keeps_no_configuration_of_metrics_in_force(
    stuck: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that ends it: the disk may be away for good."""
    for pause in ("LOOK", "RETRY"):
        monkeypatch.setattr(exposing, pause, 0.02)
    look = exposing._seen
    async with exposed(token_file="/dev/null") as made:
        for section, status in ((MetricsSection(listen=LISTEN), 200), (MetricsSection(), 0)):
            monkeypatch.setattr(exposing, "_seen", lambda *_: stuck.wait() and ())
            await becomes(lambda: lasting(time.monotonic()) > 0.1)
            monkeypatch.setattr(exposing, "_seen", look)
            made.configure(section)
            await answers(status)
