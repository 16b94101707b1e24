"""What a site's routers have told their broker, read by anybody who may."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from routerd.cli.fleet.site import SILENT, Heard, number, shown
from routerd.telemetry.mqtt import topics
from routerd.telemetry.mqtt.access import Access
from routerd.telemetry.mqtt.broker import Connection, connection
from routerd.telemetry.mqtt.errors import BrokerError
from routerd.telemetry.mqtt.topics import Topic

FIRST, QUIET = 2.0, 0.5
"""Seconds until the first message, and between two of them, after which no more is expected."""
LOT = 500
"""Messages that the broker is asked for at a time: mosquitto keeps 1,000 for a client, and drops the rest."""
AGAIN = 2.0
"""Seconds until a connection that broke is made anew."""


class Reader:
    """`messages` are the newest ones by topic, as they came; `error` is why none come, or None."""

    def __init__(self, access: Access, site: str) -> None:
        self.messages: dict[Topic, bytes] = {}
        self.sites: set[str] = set()
        self.error: BrokerError | None = None
        self.complete = False
        """Whether all that there was has been read once."""
        self._access = access
        self._site = site
        self._arrived = asyncio.Event()
        self._asked: set[str] = set()
        self._began = 0.0
        self._heard: dict[str, tuple[float, float]] = {}

    def heard(self) -> dict[str, Heard]:
        """Return of which routers a summary came that was told meanwhile, or should have come."""
        now = time.monotonic()
        waited = now - self._began
        missed = {topic.router: Heard(waited, None) for topic in self.messages} if waited > SILENT else {}
        return missed | {router: Heard(now - at, ahead) for router, (at, ahead) in self._heard.items()}

    @property
    def elsewhere(self) -> str:
        """Where somebody tells something, if nobody does here."""
        others = ", ".join(sorted(self.sites))
        return f"; there is something of {others}: --site" if others else ""

    @asynccontextmanager
    async def open(self, *, all_of_it: bool = True) -> AsyncIterator[Connection]:
        """Read what there is: of the routers themselves alone, or of their peers and VIPs too; and what comes within
        the block. BrokerError if that cannot be."""
        self.messages.clear()
        self._asked.clear()
        self._heard.clear()
        self._began = time.monotonic()
        async with connection(self._access, None) as broker:
            reading = asyncio.ensure_future(self._read(broker))
            try:
                kinds = (topics.BIRTH, topics.AVAILABILITY, topics.SUMMARY)
                await broker.subscribe(*(str(Topic(self._site, "+", kind)) for kind in kinds))
                await self._settle(lambda: bool(self.messages), FIRST)
                await self._settle(lambda: False, QUIET)
                if all_of_it:
                    await self.ask(broker)
                if not self.messages:
                    await self._look_elsewhere(broker)
                yield broker
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)

    async def follow(self) -> None:
        """Read for ever; come back when the connection breaks."""
        while True:
            try:
                async with self.open() as broker:
                    self.error, self.complete = None, True
                    self._arrived.set()
                    while True:
                        await asyncio.sleep(1.0)
                        await self.ask(broker)
            except BrokerError as error:
                self.error = error
                self._arrived.set()
                await asyncio.sleep(AGAIN)

    async def _read(self, broker: Connection) -> None:
        async for message in broker.messages():
            topic = topics.parse(message.topic)
            if topic is None:
                continue
            self.sites.add(shown(topic.site))
            if topic.site == self._site:
                if message.payload:
                    self.messages[topic] = message.payload
                    if topic.kind == topics.SUMMARY and not message.retained:
                        self._note(topic.router, message.payload)
                else:
                    self.messages.pop(topic, None)
            self._arrived.set()

    def _note(self, router: str, summary: bytes) -> None:
        """A router has told a summary just now."""
        with contextlib.suppress(ValueError):
            now = time.time()
            self._heard[router] = time.monotonic(), number(topics.decode(summary), "time", now) - now

    async def _look_elsewhere(self, broker: Connection) -> None:
        """Nobody tells anything here: find out where somebody does."""
        with contextlib.suppress(BrokerError):
            await broker.subscribe(str(Topic("+", "+", topics.BIRTH)))
            await self._settle(lambda: False, QUIET)

    async def ask(self, broker: Connection) -> None:
        """Ask for the peers and VIPs of routers that are new."""
        new = [topic.router for topic in list(self.messages) if topic.router not in self._asked]
        for lot in self._lots(dict.fromkeys(new)):
            self._asked.update(lot)
            await broker.subscribe(
                *(str(Topic(self._site, router, kind, "+")) for router in lot for kind in (topics.PEER, topics.VIP))
            )
            await self._settle(lambda lot=lot: self._has_all(lot), QUIET)  # type: ignore[misc]

    def _lots(self, routers: Iterable[str]) -> list[list[str]]:
        lots: list[list[str]] = [[]]
        room = LOT
        for router in routers:
            wanted = self._wanted(router) or 0
            if room < wanted and lots[-1]:
                lots.append([])
                room = LOT
            lots[-1].append(router)
            room -= wanted
        return [lot for lot in lots if lot]

    def _wanted(self, router: str) -> int | None:
        """Return how many peers and VIPs a router has told, as its summary says; None if that cannot be read."""
        try:
            said = topics.decode(self.messages[Topic(self._site, router, topics.SUMMARY)])
            return int(said["peers"]["all"]) + int(said["vips"]["told"])
        except (KeyError, OverflowError, TypeError, ValueError):
            return None

    def _has_all(self, routers: list[str]) -> bool:
        kinds = (topics.PEER, topics.VIP)
        heard = Counter(topic.router for topic in self.messages if topic.kind in kinds)
        wanted = [(router, self._wanted(router)) for router in routers]
        return all(count is not None and heard[router] >= count for router, count in wanted)

    async def wait(self, topic: Callable[[], Any], seconds: float) -> None:
        """Wait until something is true, for so many seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not topic():
                    self._arrived.clear()
                    await self._arrived.wait()

    async def _settle(self, done: Callable[[], bool], quiet: float) -> None:
        """Wait until something is true, or no message has come for a while."""
        while not done():
            self._arrived.clear()
            try:
                async with asyncio.timeout(quiet):
                    await self._arrived.wait()
            except TimeoutError:
                return
