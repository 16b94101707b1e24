"""A router's link to its broker: it comes back by itself, says all anew, and what it does never holds up routing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from routerd.telemetry.bus import Bus
from routerd.telemetry.mqtt import topics
from routerd.telemetry.mqtt.access import Access
from routerd.telemetry.mqtt.broker import Connection, Message, Will, connection
from routerd.telemetry.mqtt.errors import BrokerError
from routerd.telemetry.mqtt.events import Events
from routerd.telemetry.mqtt.requests import Requests
from routerd.telemetry.mqtt.states import CLEARED, States
from routerd.telemetry.mqtt.thread import AT_ONCE, PAUSE, BrokerThread
from routerd.telemetry.mqtt.topics import Own, Topic

FIRST = 0.5
"""Seconds until the broker is tried again."""
INSIST, SELDOM = 2.0, 60.0
"""Seconds until what the broker refused is tried again; doubled each time, as long as it refuses."""
FLOOD, CALM = 500, 30.0
"""Requests in a second that are too many, and for how many seconds none are heard then."""


class Trouble(NamedTuple):
    """Why the broker does not hear the router, since when in monotonic seconds, and what helps."""

    what: str
    remedy: str
    since: float


class Link:
    """Sends `states` and the events of the bus. `say` logs; it is called in the event loop that made the link.

    `heed` carries out a request there, if there is a `key_file`, and returns what is answered.
    """

    def __init__(
        self,
        access: Access,
        own: Own,
        bus: Bus,
        *,
        expiry: int,
        key_file: str,
        heed: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]],
        say: Callable[..., None],
    ) -> None:
        self.own = own
        self.states = States()
        self.events = Events(bus, own, expiry)
        self.trouble: Trouble | None = None
        self.connected = False
        self.connections = 0
        self.rival = float("-inf")
        """When another router of the same site and name was last there, in monotonic seconds: they end each other's
        connections."""
        self._access = access
        self._requests = Requests(own, key_file, heed, say) if key_file else None
        self._say = say
        self._thread = BrokerThread("mqtt", FIRST, self._talk, self._failed)
        self._wake = asyncio.Event()
        self._clearing = self._complete = self._born = self._born_before = False
        self._figures: bytes | None = None
        self._second = self._count = 0
        """Requests in the present second."""
        self._broker: Connection | None = None
        """The last one that heard the router."""
        self._deaf_until = 0.0
        """Until when requests are not listened to; 0 if they are."""
        self._unread = False
        """Whether something that should be read is not subscribed to."""
        self._refused: set[Topic] = set()
        self._strays: set[Topic] = set()
        """What the broker retains of peers and VIPs, until it is known which of them there are."""

    # ---------------------------------------------------------------------------- called where the link was made

    def start(self) -> None:
        """Begin."""
        self.states.wake = self._rouse
        self._thread.start()

    def complete(self) -> None:
        """All states that there are have been told once: what else the broker retains is out of date."""
        self._complete = True
        self._rouse()

    @property
    def keyless(self) -> str:
        """Why no request is heeded although there should be a key; empty if they are, or if none are to be."""
        return "" if self._requests is None else self._requests.keyless

    @property
    def last_message(self) -> float:
        """When the broker last took a message, in seconds since 1970; 0 before that."""
        return 0.0 if self._broker is None else self._broker.last

    @property
    def requests(self) -> tuple[int, int]:
        """How many requests were heeded, and how many refused."""
        return (0, 0) if self._requests is None else (self._requests.heeded, self._requests.refused)

    def figures(self, payload: bytes) -> None:
        """Send figures, unless there is no connection: they are not kept for later."""
        self._figures = payload if self.connected else None
        self._rouse()

    async def close(self, *, clear: bool) -> None:
        """Say goodbye, and have the broker forget all if `clear`. Who is not connected has nobody to say it to."""
        self._clearing = clear
        await self._thread.close(wait=self.connected)

    def _rouse(self) -> None:
        self._thread.rouse(self._wake)

    # ------------------------------------------------------------------------------------------ in the thread

    async def _talk(self) -> None:
        """One connection, from start to end."""
        try:
            async with connection(self._access, self._identifier, self._will) as broker:
                if not self._thread.ending:  # else it took until now to connect, and another link may be there
                    await self._serve(broker)
        finally:
            self.connected = False
            self.states.lost()

    @property
    def _identifier(self) -> str:
        return f"routerd-{self.own.site}-{self.own.router}"

    @property
    def _will(self) -> Will:
        return Will(str(self.own.topic(topics.AVAILABILITY)), self._availability("offline"))

    def _availability(self, state: str, **more: Any) -> bytes:
        return topics.encode({"boot": self.own.boot, "state": state, **more})

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, BrokerError):
            error = BrokerError(f"an internal error: {error!r}", "report it; it is tried again")
        self._note(error)

    def _note(self, error: BrokerError) -> None:
        """Something does not work: tell of it once."""
        if self.trouble is None or self.trouble.what != str(error):
            since = time.monotonic() if self.trouble is None else self.trouble.since
            self.trouble = Trouble(str(error), error.remedy, since)
            told = "the broker does not hear the router"
            self._thread.at_home(self._say, "warning", told, reason=str(error), remedy=error.remedy)

    async def _serve(self, broker: Connection) -> None:
        """Say all anew, and go on until the end of the link, or of the connection."""
        topic = str(self.own.topic(topics.AVAILABILITY))
        self._strays.clear()
        self._refused.clear()
        self._born_before = self._born
        await self._subscribe(broker)  # first, to find what is there before it is said anew
        await broker.publish(topic, self._availability("online", time=time.time()), retain=True)
        self._broker = broker
        self.connected = True
        self.connections += 1
        self._thread.at_home(self._say, "info", "the broker hears the router", connection=self.connections)
        await self._thread.together(
            self._send_states(broker), self.events.send(broker), self._read(broker), self._insist(broker)
        )
        await self._part(broker, topic)

    async def _part(self, broker: Connection, topic: str) -> None:
        """Say goodbye; the will is none any more then."""
        if self._clearing:
            self.states.clear_all()
            while await self._send_some(broker):
                pass
            await broker.publish(topic, CLEARED, retain=True)
        else:
            await broker.publish(topic, self._availability("offline", time=time.time()), retain=True)

    async def _send_states(self, broker: Connection) -> None:
        self.states.renew()
        while True:
            self._wake.clear()
            if self._requests is not None:
                self._requests.look()
            if self._complete and self._strays:
                self.states.sweep(self._strays)
                self._strays.clear()
            while await self._send_some(broker):
                pass
            if (figures := self._figures) is not None:
                self._figures = None
                await broker.publish(str(self.own.topic(topics.METRICS)), figures, qos=0)
            if broker.refused:  # what else is said goes on
                self._note(broker.refused)
            elif not self._unread and not self._deaf_until and not self.states.waiting:
                self.trouble = None
            await self._wake.wait()

    async def _send_some(self, broker: Connection) -> bool:
        taken = self.states.take(AT_ONCE)
        done = await asyncio.gather(*(broker.publish(str(topic), payload, retain=True) for topic, payload in taken))
        for (topic, payload), heard in zip(taken, done, strict=True):
            if not heard:
                self._refused.add(topic)
                continue
            self.states.sent(topic, payload)
            self._born |= topic.kind == topics.BIRTH
        if taken:
            await asyncio.sleep(PAUSE)
        return bool(taken)

    async def _subscribe(self, broker: Connection) -> None:
        wanted = [str(self.own.topic(kind, "+")) for kind in (topics.PEER, topics.VIP)]
        wanted.append(str(self.own.topic(topics.BIRTH)))
        if self._requests is not None and not self._deaf_until:
            wanted.append(str(self.own.topic(topics.REQUEST)))
        try:
            await broker.subscribe(*wanted)
            self._unread = False
            if not self._deaf_until and not broker.refused:
                self.trouble = None
        except BrokerError as error:
            self._unread = True
            self._note(error)  # what is said goes on

    async def _insist(self, broker: Connection) -> None:
        """Try again what the broker has refused: who reads its access list anew need not end connections for it."""
        delay = INSIST
        while True:
            await asyncio.sleep(delay)
            calm = 0 < self._deaf_until <= time.monotonic()
            if calm:
                self._deaf_until = 0.0
            if not (calm or self._unread or broker.refused):
                delay = INSIST
                continue
            delay = min(2 * delay, SELDOM)
            if calm or self._unread:
                await self._subscribe(broker)
            broker.refused = None
            self.states.again(self._refused)
            self._refused.clear()
            self._wake.set()

    async def _read(self, broker: Connection) -> None:
        """Heed requests, and find what the broker retains of peers and VIPs that there are no more."""
        async for message in broker.messages():
            topic = topics.parse(message.topic)
            if topic is not None and topic.kind == topics.REQUEST and self._requests is not None:
                if await self._is_flooded(broker):
                    continue
                self._requests.take(broker, message.payload)
            elif topic is not None and topic.kind == topics.BIRTH:
                self._compare(message)
            elif topic is not None and message.retained and message.payload:
                self._strays.add(topic)
                if self._complete:
                    self._wake.set()

    async def _is_flooded(self, broker: Connection) -> bool:
        """Listen no more for a while if somebody floods the topic: to look at each costs time that routing wants."""
        if self._deaf_until:
            return True  # what was on its way
        if (second := int(time.monotonic())) != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count > FLOOD:
            topic = str(self.own.topic(topics.REQUEST))
            self._deaf_until = time.monotonic() + CALM
            what = f"more than {FLOOD} requests a second came: none is heeded for {CALM:.0f} s"
            self._note(BrokerError(what, f"see who may write {topic} at the broker"))
            await broker.unsubscribe(topic)
        return bool(self._deaf_until)

    def _compare(self, birth: Message) -> None:
        """Find out whether another router has this one's name: its birth is there after this one's own. What the
        broker retains may be from before this router's restart, unless this one was born before it asked for that."""
        with contextlib.suppress(ValueError):
            born = self._born_before if birth.retained else self._born
            if born and topics.decode(birth.payload).get("boot") != self.own.boot:
                self.rival = time.monotonic()
