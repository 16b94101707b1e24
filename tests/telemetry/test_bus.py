"""The bus: numbered events in a ring that is bounded, and readers that are no more than a place in it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, MutableMapping
from typing import Any

import pytest
import structlog

from routerd.telemetry import log
from routerd.telemetry.bus import Bus
from routerd.telemetry.tap import Tap


def fill(bus: Bus, count: int, size: int = 10, names: int = 8) -> None:
    for number in range(count):
        bus.tell("info", f"said {number % names}", {"number": number, "text": "x" * size})


def numbers(bus: Bus, after: int = 0, most: int = 1_000_000) -> list[int]:
    return [told.sequence for told in bus.read(after, most)[0]]


def test_events_have_numbers_a_time_and_their_fields() -> None:
    bus = Bus(clock=lambda: 1.5)
    bus.tell("warning", "session is closed", {"peer": "10.0.0.1", "why": ValueError("odd"), "code": 6})
    ((told,), lost) = bus.read(0, 10)
    assert (told.sequence, told.event, lost) == (1, "session is closed", 0)
    assert json.loads(told.text) == {
        "boot": bus.boot,
        "sequence": 1,
        "time": "1970-01-01T00:00:01.500+00:00",
        "level": "warning",
        "event": "session is closed",
        "peer": "10.0.0.1",
        "why": "odd",
        "code": 6,
    }


def test_each_run_has_a_name_of_its_own() -> None:
    assert Bus().boot != Bus().boot


def test_what_is_kept_is_bounded_in_octets_and_the_newest_is_always_there() -> None:
    bus = Bus(limit=10_000)
    fill(bus, 1000)
    kept, lost = bus.read(0, 1000)
    assert kept[-1].sequence == bus.last == 1000
    assert lost == kept[0].sequence - 1 > 900
    assert 5_000 < sum(len(told.text) + 200 for told in kept) <= 10_000
    bus.tell("info", "large", {"text": "x" * 100_000})
    assert numbers(bus) == [1001]


def test_events_of_one_name_do_not_push_out_the_others() -> None:
    bus = Bus(limit=20_000)
    bus.tell("info", "peer up", {"peer": "a"})
    fill(bus, 1000, names=1)
    bus.tell("info", "peer down", {"peer": "a"})
    kept, gone = bus.read(0, 1000)
    assert (kept[0].event, kept[-1].event) == ("peer up", "peer down")
    assert 3_000 < sum(len(told.text) + 200 for told in kept[1:-1]) <= 5_000
    assert [told.sequence for told in kept[1:]] == list(range(1003 - len(kept), 1003)[1:])
    assert gone == 1002 - len(kept)
    fill(bus, 1000)
    assert bus.read(0, 1)[0][0].event.startswith("said")
    assert sum(bus._octets.values()) == bus._all_octets == sum(told.octets for told in bus._ring) <= 20_000


async def test_a_reader_is_told_of_what_is_lost_once() -> None:
    bus = Bus(limit=20_000)
    bus.tell("info", "peer up", {"peer": "a"})
    fill(bus, 100, names=1)
    reader, seen = bus.reader(0), 0
    (first,), lost = reader.take(1)
    assert (first.event, lost) == ("peer up", bus.read(0, 1)[1])
    while (taken := reader.take(3))[0]:  # the gap behind the first one is no news
        assert taken[1] == 0
        seen += len(taken[0])
    assert seen + lost == 100
    fill(bus, 100, names=1)
    found, gone = reader.take(1000)
    assert len(found) + gone == 100
    assert gone > 50
    assert reader.take(1000) == ([], 0)


def test_a_reader_goes_on_where_it_was() -> None:
    bus = Bus()
    fill(bus, 10)
    assert numbers(bus, 3, 4) == [4, 5, 6, 7]
    assert numbers(bus, 7) == [8, 9, 10]
    assert numbers(bus, 10) == numbers(bus, 99) == []


async def test_whoever_waits_is_woken_from_any_thread() -> None:
    bus = Bus()
    readers = [bus.reader(0) for _ in range(3)]
    waiting = [asyncio.create_task(reader.wait()) for reader in readers]
    await asyncio.sleep(0)
    thread = threading.Thread(target=fill, args=(bus, 2))
    thread.start()
    thread.join()
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)
        assert [len(reader.take(10)[0]) for reader in readers] == [2, 2, 2]
        waits = asyncio.create_task(readers[0].wait())
        await asyncio.sleep(0)
        assert not waits.done()
        fill(bus, 1)
        await waits


async def test_nobody_waits_for_what_is_there_already() -> None:
    bus = Bus()
    reader = bus.reader(0)
    fill(bus, 1)
    async with asyncio.timeout(5):
        await reader.wait()


async def test_a_reader_that_gives_up_is_forgotten() -> None:
    bus = Bus()
    for _ in range(100):
        waiting = asyncio.create_task(bus.reader(0).wait())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    fill(bus, 1)
    assert not bus._waiting


@pytest.fixture(name="bus")
def _bus() -> Iterator[Bus]:
    bus = Bus()
    before = structlog.get_config()
    yield bus
    structlog.configure(**before)
    log.set_level("info")


def test_every_line_of_the_log_is_an_event_also_what_the_log_holds_back(bus: Bus) -> None:
    printed: list[str] = []

    def printing(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
        printed.append(event["event"])
        return ""

    log.configure("warning", "json")
    chain = structlog.get_config()["processors"]
    tap = Tap(bus)
    tap.least = 30
    structlog.configure(processors=[tap, *chain[1:-1], printing], cache_logger_on_first_use=False)
    logger = structlog.get_logger()
    logger.debug("of no interest")
    logger.info("session up", peer="10.0.0.1")
    for _ in range(50):
        logger.warning("refused", address="10.0.0.2")
    told = [(json.loads(each.text)["level"], each.event) for each in bus.read(0, 100)[0]]
    assert told == [("info", "session up"), *[("warning", "refused")] * 50]
    assert printed == ["refused"] * 10


def test_a_loop_that_has_ended_does_not_fail_who_tells() -> None:
    """A reader that waits is left behind when the thread of a link ends in the middle of it."""
    bus = Bus()

    async def leave() -> None:
        bus.wait(bus.reader(bus.last))

    asyncio.run(leave())
    bus.tell("info", "event", {})
    assert bus.last == 1
