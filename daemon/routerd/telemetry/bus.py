"""The bus: every event that routerd tells, with a number and a time, kept for a while for whoever reads it.

There is one ring, bounded in octets, and a reader is no more than a place in it: telling costs the same however many
read, and who reads too slowly finds that the ring has gone on, and how much of it was missed.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

LIMIT = 1 << 20
"""Octets of events that are kept."""
_OVERHEAD = 200
"""Octets that an event takes beside its text: a tuple, a number, a place in the ring."""


class Told(NamedTuple):
    """An event as it was told: its number, counted from 1, its name, and all of it in JSON."""

    sequence: int
    event: str
    text: bytes


class Bus:
    """Takes events from any thread; its readers live in one event loop.

    `boot` is this run's own, so that a reader who comes back knows whether the numbers are those that it knew.
    """

    def __init__(self, clock: Callable[[], float] = time.time, limit: int = LIMIT) -> None:
        self.boot = secrets.token_hex(8)
        self._clock = clock
        self._limit = limit
        self._ring: deque[Told] = deque()
        self._octets = 0
        self._last = 0
        self._lock = threading.Lock()
        self._waiting: set[Reader] = set()

    @property
    def last(self) -> int:
        """The number of the last event; 0 before the first one."""
        return self._last

    def tell(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        """Number an event, keep it, and wake who waits for it. What is no JSON is told as its text."""
        with self._lock:
            self._last += 1
            stamp = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
            head = {"boot": self.boot, "sequence": self._last, "time": stamp, "level": level, "event": event}
            text = json.dumps(head | dict(fields), default=str, separators=(",", ":")).encode()
            self._ring.append(Told(self._last, event, text))
            self._octets += len(text) + _OVERHEAD
            while self._octets > self._limit and len(self._ring) > 1:
                self._octets -= len(self._ring.popleft().text) + _OVERHEAD
            waiting, self._waiting = self._waiting, set()
        for reader in waiting:
            reader.wake()

    def read(self, after: int, most: int) -> tuple[list[Told], int]:
        """Return up to `most` events after the one of the number `after`, and how many before them are lost."""
        with self._lock:
            if not self._ring or after >= self._last:
                return [], 0
            first = self._ring[0].sequence
            begin = max(0, after + 1 - first)
            found = [self._ring[place] for place in range(begin, min(begin + most, len(self._ring)))]
            return found, max(0, first - after - 1)

    def reader(self, after: int) -> Reader:
        """Return a reader that has read up to the event of the number `after`."""
        return Reader(self, after)

    def wait(self, reader: Reader) -> None:
        """Have a reader woken by the next event, or at once if there is one that it has not read."""
        with self._lock:
            if reader.place >= self._last:
                self._waiting.add(reader)
                return
        reader.wake()

    def leave(self, reader: Reader) -> None:
        """Forget a reader."""
        with self._lock:
            self._waiting.discard(reader)


class Reader:
    """A place in the ring. `place` is the number of the last event that was read."""

    def __init__(self, bus: Bus, after: int) -> None:
        self.place = after
        self._bus = bus
        self._loop = asyncio.get_running_loop()
        self._there = asyncio.Event()

    def wake(self) -> None:
        """Tell the reader, from any thread, that there is something to read."""
        self._loop.call_soon_threadsafe(self._there.set)

    def take(self, most: int) -> tuple[list[Told], int]:
        """Return what there is to read, up to `most` events, and how many were lost before them; go on behind it."""
        found, lost = self._bus.read(self.place, most)
        if found:
            self.place = found[-1].sequence
        return found, lost

    async def wait(self) -> None:
        """Wait until there is something to read."""
        self._there.clear()
        self._bus.wait(self)
        try:
            await self._there.wait()
        finally:
            self._bus.leave(self)
