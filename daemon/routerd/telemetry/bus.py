"""The bus: every event that routerd tells, with a number and a time, kept for a while for whoever reads it.

There is one ring, bounded in octets, of which events of one name have a quarter at most: what anybody can cause, such
as refused connections, does not push out what happened besides. And a reader is no more than a place in it: telling
costs the same however many read, and who reads too slowly finds that the ring has gone on, and how much
of it was missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import threading
import time
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, NamedTuple

LIMIT = 1 << 20
"""Octets of events that are kept."""
SHARE = 4
"""Events of one name have a part of so many of those octets, at most."""
_OVERHEAD = 200
"""Octets that an event takes beside its text: a tuple, a number, a place in the ring."""


class Told(NamedTuple):
    """An event as it was told: its number, counted from 1, its name, all of it in JSON, and when in monotonic
    seconds."""

    sequence: int
    event: str
    text: bytes
    at: float

    @property
    def octets(self) -> int:
        """What it takes in the ring."""
        return len(self.text) + _OVERHEAD


_SEQUENCE = attrgetter("sequence")


class Bus:
    """Takes events from any thread; each reader lives in the event loop that made it.

    `boot` is this run's own, so that a reader who comes back knows whether the numbers are those that it knew.
    """

    def __init__(self, clock: Callable[[], float] = time.time, limit: int = LIMIT) -> None:
        self.boot = secrets.token_hex(8)
        self._clock = clock
        self._limit = limit
        self._ring: list[Told] = []  # in the order of their numbers, some of which may be gone
        self._named: defaultdict[str, deque[Told]] = defaultdict(deque)  # the same, by name
        self._octets = Counter[str]()
        self._all_octets = 0
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
            self._keep(Told(self._last, event, text, time.monotonic()))
            waiting, self._waiting = self._waiting, set()
        for reader in waiting:
            reader.wake()

    def _keep(self, told: Told) -> None:
        self._ring.append(told)
        same = self._named[told.event]
        same.append(told)
        self._octets[told.event] += told.octets
        self._all_octets += told.octets
        while self._octets[told.event] > self._limit // SHARE and len(same) > 1:
            self._drop(same[0])
        while self._all_octets > self._limit and len(self._ring) > 1:
            self._drop(self._ring[0])

    def _drop(self, told: Told) -> None:
        """Forget the oldest event of its name."""
        self._ring.pop(bisect_left(self._ring, told.sequence, key=_SEQUENCE))
        self._named[told.event].popleft()
        self._octets[told.event] -= told.octets
        self._all_octets -= told.octets
        if not self._named[told.event]:
            del self._named[told.event], self._octets[told.event]

    def read(self, after: int, most: int) -> tuple[list[Told], int]:
        """Return up to `most` events after the one of the number `after`, and how many after it are gone in all."""
        with self._lock:
            if after >= self._last:
                return [], 0
            begin = bisect_right(self._ring, after, key=_SEQUENCE)
            return self._ring[begin : begin + most], self._last - after - (len(self._ring) - begin)

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
        self._gone = 0  # how many after the place are, as was said
        self._loop = asyncio.get_running_loop()
        self._there = asyncio.Event()

    def wake(self) -> None:
        """Tell the reader, from any thread, that there is something to read."""
        with contextlib.suppress(RuntimeError):  # its loop is closed: who tells has nothing to do with that
            self._loop.call_soon_threadsafe(self._there.set)

    def take(self, most: int) -> tuple[list[Told], int]:
        """Return what there is to read, up to `most` events, and how many were lost since the last time; go on.

        The first time those count that were gone already.
        """
        found, gone = self._bus.read(self.place, most)
        lost, self._gone = gone - self._gone, gone
        if found:
            self._gone -= found[-1].sequence - self.place - len(found)
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
