"""Events as a stream of server-sent events (WHATWG HTML, section 9.2), which `curl -N` and every browser read."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import NamedTuple, Protocol

AT_ONCE = 100
"""Events that are sent at a stretch."""
STREAMS = 64
"""At once."""
BEAT_TIME = 30.0
"""Seconds without an event after which there is a comment."""
BEAT = b": nothing new\n\n"
"""Said to see whether the reader has taken all that came before."""


class Told(Protocol):
    """An event: its number, counted from 1; its name; and all of it as JSON."""

    @property
    def sequence(self) -> int: ...
    @property
    def event(self) -> str: ...
    @property
    def text(self) -> bytes: ...


class Reader(Protocol):
    """A place among the events that are kept."""

    def take(self, most: int) -> tuple[Sequence[Told], int]: ...
    async def wait(self) -> None: ...


class Events(Protocol):
    """The events that are kept, up to the number `last`. `boot` is this run's own: numbers of another one mean
    nothing."""

    @property
    def boot(self) -> str: ...
    @property
    def last(self) -> int: ...
    def reader(self, after: int) -> Reader: ...


class Stream(NamedTuple):
    """An answer that goes on."""

    content: str
    parts: AsyncGenerator[bytes, None]


CONTENT = "text/event-stream"
MRT = "application/octet-stream"
DUMPS = 4
"""At once."""

_open: set[object] = set()


def full() -> bool:
    """Whether there are as many streams as there may be."""
    return len(_open) >= STREAMS


class Bounded:
    """Streams of which there are so many at once, at most."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = 0

    @property
    def full(self) -> bool:
        """Whether there are as many as there may be."""
        return self._open >= self._most

    async def counted(self, parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Yield the parts of one; it counts from the first to the last."""
        self._open += 1
        try:
            async with contextlib.aclosing(parts):
                async for part in parts:
                    yield part
        finally:
            self._open -= 1


async def stream(
    events: Events, resumed: str, *, follow: bool, wanted: Callable[[Told], bool]
) -> AsyncGenerator[bytes, None]:
    """Yield the events after the one with the id `resumed`, or all that are kept, and go on if to `follow`.

    A reader that comes back too late is told how many it has missed; one that falls behind while it reads is cut off.
    """
    me = object()
    _open.add(me)
    try:
        boot, _, number = resumed.partition(":")
        known = boot == events.boot and number.isdecimal() and len(number) < 20
        # Nobody knows what is to come: such a number would have a reader wait for it.
        reader, begun = events.reader(min(int(number), events.last) if known else 0), False
        if resumed and not known:
            yield _note("restarted", {"boot": events.boot})
        while True:
            await asyncio.sleep(0)  # however few of them are wanted
            found, lost = reader.take(AT_ONCE)
            if lost and (begun or known):
                yield _note("missed", {"missed": lost})
                if begun:
                    return
            begun = True
            if text := b"".join(_event(events.boot, each) for each in found if wanted(each)):
                yield text
            if not found:
                if not follow:
                    return
                yield b": all of it\n\n"
                while True:
                    try:
                        async with asyncio.timeout(BEAT_TIME):
                            await reader.wait()
                            break
                    except TimeoutError:
                        yield BEAT
    finally:
        _open.discard(me)


def _event(boot: str, told: Told) -> bytes:
    return b"id: %s:%d\nevent: %s\ndata: %s\n\n" % (boot.encode(), told.sequence, _line(told.event), told.text)


def _note(name: str, data: dict[str, object]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def _line(text: str) -> bytes:
    return " ".join(text.split()).encode(errors="replace")


def about(peers: frozenset[str]) -> Callable[[Told], bool]:
    """Return what tells whether an event is about one of the names `peers`; of each if there are none.

    The field `peer` may name several, with a comma between them.
    """
    texts = [json.dumps(name)[1:-1].encode() for name in peers]

    def wanted(told: Told) -> bool:
        # As text first: to parse each event would cost more than to find it.
        if not any(text in told.text for text in texts):
            return False
        fields = json.loads(told.text)
        return not peers.isdisjoint([*map(str, fields.values()), *str(fields.get("peer", "")).split(", ")])

    return wanted if peers else lambda _: True
