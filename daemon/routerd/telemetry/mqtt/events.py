"""The bus's events on their way to the broker.

What waits is in the bus's ring, which is bounded in octets: while there is no broker the oldest ones fall out of it,
and are counted. What was on its way when a connection broke is sent again: its number tells.
"""

from __future__ import annotations

import asyncio
import json
import math
import time

from routerd.telemetry.bus import Bus, Reader, Told
from routerd.telemetry.mqtt import topics
from routerd.telemetry.mqtt.broker import Connection
from routerd.telemetry.mqtt.thread import AT_ONCE, PAUSE
from routerd.telemetry.mqtt.topics import Own

_WITHHELD = "the configuration stays as it is"
"""An event whose reason is not for whoever may read at the broker: it shows lines of files."""


class Events:
    """Those of one router, from when this was made. The broker keeps them until they are `expiry` seconds old."""

    def __init__(self, bus: Bus, own: Own, expiry: int) -> None:
        self.sent = 0
        self.lost = 0
        """Those that fell out of the ring, or were too old, before there was a broker to hear them; and those that it
        refused."""
        self._bus = bus
        self._own = own
        self._expiry = expiry
        self._place = bus.last
        self._reader: Reader | None = None
        self._on_their_way: list[Told] = []

    async def send(self, broker: Connection) -> None:
        """Send what there is, and what comes, until the connection breaks."""
        self._reader = reader = self._reader or self._bus.reader(self._place)
        while True:
            if not self._on_their_way:
                self._on_their_way, lost = reader.take(AT_ONCE)
                self.lost += lost
            if not self._on_their_way:
                await reader.wait()
                continue
            await asyncio.gather(*(self._send(broker, told) for told in self._on_their_way))
            self._on_their_way = []
            await asyncio.sleep(PAUSE)

    async def _send(self, broker: Connection, told: Told) -> None:
        left = math.ceil(self._expiry - (time.monotonic() - told.at))
        if left <= 0:
            self.lost += 1
            return
        topic = self._own.topic(topics.EVENT, topics.kind_of(told.event))
        text = told.text
        if told.event == _WITHHELD:
            text = topics.encode(json.loads(told.text) | {"reason": "routerd events says why"})
        if await broker.publish(str(topic), text, expiry=left):
            self.sent += 1
        else:
            self.lost += 1
