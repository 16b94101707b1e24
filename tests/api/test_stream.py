"""`GET /v1/events`: server-sent events that resume, end with their reader, and wait for nobody."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from routerd.api import application, stream
from routerd.telemetry.bus import Bus
from tests.daemon.harness import becomes
from tests.support.api import Served, serving


class Stream:
    """A reader of the stream."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.reader = reader

    async def next(self) -> tuple[str, str, Any]:
        """Return the id, the name and the data of the next event."""
        fields = {"id": "", "event": "", "data": ""}
        async with asyncio.timeout(5):
            while True:
                line = (await self.reader.readuntil(b"\n")).decode().rstrip()
                if found := re.fullmatch(r"(id|event|data): (.*)", line):
                    fields[found[1]] = found[2]
                elif not line and fields["data"]:
                    return fields["id"], fields["event"], json.loads(fields["data"])

    async def ended(self) -> bool:
        """Wait for the end of the stream."""
        async with asyncio.timeout(5):
            while await self.reader.read(1 << 16):
                pass
        return True


@asynccontextmanager
async def reading(served: Served, query: str = "", last: str = "", limit: int = 1 << 16) -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_unix_connection(str(served.path), limit=limit)
    resumed = f"Last-Event-ID: {last}\r\n" if last else ""
    writer.write(f"GET /v1/events{query} HTTP/1.0\r\nHost: a\r\n{resumed}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head, head
    assert b"content-type: text/event-stream" in head
    try:
        yield Stream(reader)
    finally:
        writer.close()


@asynccontextmanager
async def telling(directory: Path, bus: Bus) -> AsyncIterator[Served]:
    async with serving(directory) as served:
        served.source.events = bus
        served.source.names = lambda peer: frozenset(("a", "10.0.0.1")) if peer in ("a", "10.0.0.1") else frozenset()
        yield served


def tell(bus: Bus, *peers: str) -> None:
    for peer in peers:
        bus.tell("info", "session up", {"peer": peer})


async def test_what_is_kept_and_then_what_comes(tmp_path: Path) -> None:
    bus = Bus()
    tell(bus, "10.0.0.1", "10.0.0.2")
    async with telling(tmp_path, bus) as served, reading(served) as found:
        first = await found.next()
        assert first[:2] == (f"{bus.boot}:1", "session up")
        assert first[2]["peer"] == "10.0.0.1"
        await found.next()
        tell(bus, "10.0.0.3")
        assert (await found.next())[2]["peer"] == "10.0.0.3"


async def test_it_ends_where_what_is_kept_ends(tmp_path: Path) -> None:
    bus = Bus()
    tell(bus, "10.0.0.1")
    async with telling(tmp_path, bus) as served, reading(served, "?follow=0") as found:
        await found.next()
        assert await found.ended()


async def test_one_peer_by_its_name_or_address(tmp_path: Path) -> None:
    bus = Bus()
    tell(bus, "10.0.0.2", "10.0.0.1", "a", "10.0.0.11", "b, a", "aa, b")
    async with telling(tmp_path, bus) as served:
        for peer in ("a", "10.0.0.1"):
            async with reading(served, f"?follow=0&peer={peer}") as found:
                assert [(await found.next())[2]["peer"] for _ in range(3)] == ["10.0.0.1", "a", "b, a"]
                assert await found.ended()


async def test_others_have_their_turn_while_none_is_found() -> None:
    """To look into thousands of events takes a while."""
    bus, turns = Bus(), 0
    tell(bus, *["nobody"] * 2000)
    kept, _ = bus.read(0, 2000)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.ensure_future(others())
    found = stream.stream(bus, "", follow=False, wanted=stream.about(frozenset(("body",))))
    assert [part async for part in found] == []
    beside.cancel()
    assert turns >= len(kept) // stream.AT_ONCE > 5


async def test_one_peer_that_there_is_not(tmp_path: Path) -> None:
    """Its name is a mistake; its address may be that of one that was never let in."""
    bus = Bus()
    tell(bus, "192.0.2.7")
    async with telling(tmp_path, bus) as served:
        status, said = await served.ask(b"GET /v1/events?peer=b HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (status, said) == (404, {"detail": "no peer has the name or address b"})
        async with reading(served, "?follow=0&peer=192.0.2.7") as found:
            assert (await found.next())[2]["peer"] == "192.0.2.7"


async def test_it_resumes_and_says_what_was_missed(tmp_path: Path) -> None:
    bus = Bus(limit=1000)
    tell(bus, *["10.0.0.1"] * 3)
    async with telling(tmp_path, bus) as served:
        async with reading(served, last=f"{bus.boot}:2") as found:
            assert (await found.next())[0] == f"{bus.boot}:3"
        tell(bus, *["10.0.0.1"] * 100)
        async with reading(served, last=f"{bus.boot}:3") as found:
            _, name, data = await found.next()
            next_one = (await found.next())[2]["sequence"]
            assert (name, data) == ("missed", {"missed": next_one - 4})


@pytest.mark.parametrize("last", ["0123456789abcdef:7", "nonsense", "7"])
async def test_numbers_of_another_run_mean_nothing(tmp_path: Path, last: str) -> None:
    bus = Bus()
    tell(bus, "10.0.0.1")
    async with telling(tmp_path, bus) as served, reading(served, last=last) as found:
        assert (await found.next())[1:] == ("restarted", {"boot": bus.boot})
        assert (await found.next())[2]["sequence"] == 1


async def test_a_number_of_the_future_is_that_of_the_last_event(tmp_path: Path) -> None:
    bus = Bus()
    tell(bus, "10.0.0.1")
    async with telling(tmp_path, bus) as served, reading(served, last=f"{bus.boot}:{10**18}") as found:
        await becomes(lambda: len(bus._waiting), 1)
        tell(bus, "10.0.0.2")
        assert (await found.next())[2]["sequence"] == 2


async def test_a_number_that_is_too_long_is_none_of_ours(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bus = Bus()
    tell(bus, "10.0.0.1")
    async with telling(tmp_path, bus) as served, reading(served, last=f"{bus.boot}:{'7' * 5000}") as found:
        assert (await found.next())[1] == "restarted"
        assert (await found.next())[2]["sequence"] == 1
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_slow_reader_is_cut_off_and_nobody_waits_for_it(
    tmp_path: Path, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(application, "PATIENCE", 0.2)
    bus = Bus(limit=100_000)
    async with telling(tmp_path, bus) as served, reading(served, limit=1024) as slow, reading(served) as quick:
        for number in range(300):
            bus.tell("info", "large", {"number": number, "text": "x" * 10_000})
            assert (await quick.next())[2]["number"] == number
        await becomes(lambda: len(stream._open), 1)
        assert await slow.ended()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_a_reader_that_has_stopped_holds_no_place(tmp_path: Path, monkeypatch: Any) -> None:
    """Though all that it was sent fits into the buffers; one that reads stays, however little happens."""
    monkeypatch.setattr(stream, "BEAT_TIME", 0.2)
    bus = Bus()
    tell(bus, "10.0.0.1")
    async with telling(tmp_path, bus) as served, reading(served) as quick:
        with socket.socket(socket.AF_UNIX) as stopped:
            stopped.connect(str(served.path))
            stopped.sendall(b"GET /v1/events HTTP/1.0\r\nHost: a\r\n\r\n")
            await becomes(lambda: len(stream._open), 2)
            await becomes(lambda: len(stream._open), 1)
        await quick.next()
        assert await quick.reader.readuntil(b": nothing new\n\n" * 3)
        tell(bus, "10.0.0.2")
        assert (await quick.next())[2]["peer"] == "10.0.0.2"


async def test_a_reader_that_goes_is_forgotten(tmp_path: Path) -> None:
    bus = Bus()
    async with telling(tmp_path, bus) as served:
        async with reading(served):
            await becomes(lambda: len(stream._open), 1)
        await becomes(lambda: len(stream._open), 0)
        assert (await served.ask())[0] == 200


async def test_streams_are_bounded(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(stream, "STREAMS", 1)
    async with telling(tmp_path, Bus()) as served, reading(served):
        await becomes(lambda: len(stream._open), 1)
        status, answer = await served.ask(b"GET /v1/events HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (status, "close some" in answer["detail"]) == (503, True)


async def test_so_many_dumps_are_under_way_at_once() -> None:
    async def parts() -> AsyncGenerator[bytes, None]:
        yield b"a"
        yield b"b"

    bounded, full = stream.Bounded(2), list[bool]()
    begun = [bounded.counted(parts()) for _ in range(2)]
    for each in begun:
        full.append(bounded.full)
        assert await anext(each) == b"a"
    full.append(bounded.full)
    await begun[0].aclose()
    full.append(bounded.full)
    assert full == [False, False, True, False]
    assert [part async for part in begun[1]] == [b"b"]
