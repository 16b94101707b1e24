"""What the child says reaches the consumer: in which turn of the event loop, and what is ahead of what."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from routerd.core.message import SessionDown, SessionUp
from routerd.session import frames
from routerd.session.channel import Channel
from routerd.session.speaker import Speaker
from tests.session.harness import configuration

CONFIG = configuration(179)


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Channel, list[tuple[list[object], bool]]]]:
    """Yield the channel to a child, which the caller plays, and what a consumer hears. Sessions 7 and 8 are up."""
    speaker, channel = Speaker(CONFIG, log=structlog.get_logger()), Channel()
    speaker._channel = channel
    channel.watch_urgent(speaker._urgent_came)
    heard: list[tuple[list[object], bool]] = []

    async def consume() -> None:
        async for messages, more in speaker.batches():
            heard.append(([*messages], more))

    task = asyncio.create_task(consume())
    opened = struct.pack("!BHHIB", 4, 65001, 9, 1, 0)
    for number in (7, 8):
        up = frames.Up(f"10.0.0.{number}", "10.0.0.1", False, opened, opened)
        channel.child_ends[0].send(frames.frame(frames.Kind.UP, number, frames.pack_up(up)))
    for _ in range(3):
        await asyncio.sleep(0)
    assert [type(each) for messages, _ in heard for each in messages] == [SessionUp, SessionUp]
    heard.clear()
    yield channel, heard
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    channel.close()


async def test_what_is_urgent_is_ahead_of_what_is_read_with_it() -> None:
    """A session that is over says nothing any more, though its UPDATE came first."""
    async with listening() as (channel, heard):
        stream, urgent = channel.child_ends
        lost = frames.frame(frames.Kind.DOWN, 7, frames.pack_down(frames.Down("10.0.0.7", "lost", None, True, True)))
        for session in (7, 8):
            stream.send(frames.frame(frames.Kind.UPDATE, session, b"\0\0\0\0"))
        urgent.send(lost)
        stream.send(lost)
        for _ in range(3):
            await asyncio.sleep(0)
        down, update = SessionDown("10.0.0.7", 7, "lost", None), frames.RawUpdate("10.0.0.8", 8, b"\0\0\0\0")
        assert heard == [([down, update], False)]


async def test_a_session_that_is_over_before_it_was_heard_of_ends_in_its_turn_too() -> None:
    """After the one before it, of which something was kept: that goes with it."""
    async with listening() as (channel, heard):
        stream, urgent = channel.child_ends
        kept = frames.Down("10.0.0.7", "lost", None, True)
        left = frames.frame(frames.Kind.DOWN, 9, frames.pack_down(frames.Down("10.0.0.7", "left", None, True, True)))
        opened = struct.pack("!BHHIB", 4, 65001, 9, 1, 0)
        up = frames.Up("10.0.0.7", "10.0.0.1", False, opened, opened)
        stream.send(
            frames.frame(frames.Kind.DOWN, 7, frames.pack_down(kept))
            + frames.frame(frames.Kind.UP, 9, frames.pack_up(up))
            + frames.frame(frames.Kind.UPDATE, 9, b"\0\0\0\0")
            + left
        )
        urgent.send(left)
        for _ in range(3):
            await asyncio.sleep(0)
        [(messages, _)] = heard
        told = [(type(each), each.generation) for each in messages if isinstance(each, SessionUp | SessionDown)]
        assert len(told) == len(messages)
        assert told == [(SessionDown, 9), (SessionDown, 7), (SessionUp, 9), (SessionDown, 9)]


async def test_that_no_more_waits_is_said_though_the_last_of_it_was_no_message() -> None:
    """Whoever is told that more waits does not plan to the end, nor answer people quickly."""
    async with listening() as (channel, heard):
        stream, _ = channel.child_ends
        body = bytes((16 << 10) - frames.HEADER.size)  # with its header, what is read at once
        stream.send(frames.frame(frames.Kind.UPDATE, 7, body) + frames.frame(frames.Kind.TAKEN, 7, bytes(8)))
        for _ in range(5):
            await asyncio.sleep(0)
        assert heard == [([frames.RawUpdate("10.0.0.7", 7, body)], True), ([], False)]


async def test_what_comes_is_heard_in_the_turn_in_which_the_event_loop_sees_it() -> None:
    async with listening() as (channel, heard):
        asyncio.get_running_loop().call_soon(channel.child_ends[0].send, frames.frame(frames.Kind.UPDATE, 7, b"\0"))
        await asyncio.sleep(0)  # it is sent
        await asyncio.sleep(0)  # and seen, after this has gone on
        assert not heard
        await asyncio.sleep(0)
        assert heard == [([frames.RawUpdate("10.0.0.7", 7, b"\0")], False)]


async def test_urgent_frames_of_a_child_that_has_ended_are_read() -> None:
    channel = Channel()
    stream, urgent = channel.child_ends
    assert channel.read() == []
    assert not channel.urgent
    urgent.send(frames.frame(frames.Kind.DOWN, 7, b"x"))
    stream.send(frames.frame(frames.Kind.LOG, 0, b"y"))
    stream.close()
    urgent.close()
    assert channel.read() == [(frames.Kind.LOG, 0, b"y")]
    assert not channel.read()
    assert (channel.ended, channel.urgent, channel.more) == (True, True, False)
    assert channel.read_urgent() == [(frames.Kind.DOWN, 7, b"x")]
    channel.close()
    assert channel.read_urgent() == []
    assert channel.read() == []
    assert (channel.urgent, channel.more) == (False, False)
