"""The channel to the partner through the site's MQTT broker, for two routers without a link of their own.

Both are there under the names of `[mqtt]`, with a connection beside the one that tells how the router is, in a thread
of its own (`telemetry/mqtt/thread.py`). What they say is signed with the pair's key, and what is not signed so does
not count. Nothing is retained but who is there: whoever comes back is told all anew. The broker tells when a
router is gone; one that is there and says nothing is missed after `SILENCE`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from typing import Any

from routerd.config import keyfile
from routerd.core.message import PartnerMessage
from routerd.telemetry.mqtt import signing
from routerd.telemetry.mqtt.access import Access
from routerd.telemetry.mqtt.broker import Connection, Will, connection
from routerd.telemetry.mqtt.errors import BrokerError
from routerd.telemetry.mqtt.thread import AT_ONCE, PAUSE, BrokerThread
from routerd.telemetry.mqtt.topics import Topic
from routerd.telemetry.pair.channel import MOST_WAITING, Home, Names
from routerd.telemetry.pair.codec import LARGEST, MessageError, decode
from routerd.telemetry.pair.meeting import LostError, Meeting
from routerd.telemetry.pair.outbox import LOT, Full, Outbox, divided

KIND, SESSION, SAID = "pair", "session", "said"
"""Topics: `.../pair/session` is retained, `.../pair/said` has the messages."""
FIRST = 0.25
"""Seconds until the broker is tried again."""
SIGN, SILENCE = 5.0, 16.0
"""Seconds between two signs of life; and without one, until the partner is away. As often the broker is to say that
it takes what is said, which costs as much as a message each time: of what it drops meanwhile the partner notices that
it is missing, and the session ends."""
LULL = 0.3
"""Seconds after something was said in which what is to be said next is gathered, so that it goes as one: a message to
the broker costs as much whatever is in it."""
_AROUND = 512
"""Octets of a payload that no message has, generously: who says it, the signature, the topic."""
MOST = 2 * LARGEST
"""Octets of a payload: messages as text within text, in which quotation marks take more."""
QUIET = 10.0
"""Seconds between two lines about what is not heeded: anybody may write there."""


class Broker:
    """A Channel. `site` is the one that both routers are in."""

    def __init__(self, access: Access, site: str, names: Names, key_file: str, home: Home) -> None:
        self._access = access
        self._site = site
        self._names = names
        self._key_file = key_file
        self._home = home
        self._thread = BrokerThread("pair", FIRST, self._meet, self._failed)
        self._news, self._full = asyncio.Event(), asyncio.Event()
        self._outbox = Outbox()
        self._session = ""
        """The one of which the core knows that it is up; empty if none is."""
        self._reason = ""
        self._heard_at = self._told_at = self._taken_at = float("-inf")

    # ------------------------------------------------------------------------------------ in the loop that made it

    def send(self, message: PartnerMessage) -> None:
        """Hand a message over."""
        if not self._session:
            return
        try:
            self._outbox.put(message)
        except Full:
            self._thread.rouse(self._full)
        except ValueError as error:
            self._home.say("warning", "the partner is not told something", reason=str(error))
        self._thread.rouse(self._news)

    async def run(self) -> None:
        """Talk until cancelled."""
        self._thread.start()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            up = bool(self._session)
            await self._thread.close(wait=up)
            if up:
                self._is_down("this router ends it")

    def _is_up(self, session: str) -> None:
        self._outbox.clear()
        self._session, self._reason = session, ""
        self._home.say("info", "channel to the partner", partner=self._names.partner, broker=self._access.url)
        self._home.up()
        self._thread.rouse(self._news)

    def _is_down(self, reason: str) -> None:
        if self._session or reason != self._reason:
            self._session, self._reason = "", reason
            self._home.say("warning", "no channel to the partner", partner=self._names.partner, reason=reason)
            self._home.down(reason)

    def _said(self, messages: list[PartnerMessage]) -> None:
        for message in messages:
            if self._session:
                self._home.said(message)

    # ------------------------------------------------------------------------------------------------ in the thread

    def _failed(self, error: Exception) -> None:
        known = isinstance(error, BrokerError | LostError | ValueError)
        self._thread.at_home(self._is_down, str(error) if known else f"an internal error: {error!r}")

    async def _meet(self) -> None:
        """One connection, from start to end."""
        self._taken_at = float("-inf")
        meeting = Meeting(self._names, secrets.token_hex(8))
        key = keyfile.read(self._key_file)
        topic = str(self._topic(self._names.router, SESSION))
        will = Will(topic, signing.seal("pair", meeting.announcement("offline"), key))
        async with connection(
            self._access, f"routerd-{self._site}-{self._names.router}-{meeting.mine}", will, MOST
        ) as broker:
            await broker.subscribe(str(self._topic(self._names.partner, SESSION)))
            # Without acknowledgements, each of which costs as much as a message: what gets lost is noticed.
            await broker.subscribe(str(self._topic(self._names.partner, SAID)), qos=0)
            await self._announce(broker, meeting, key)
            self._thread.at_home(self._is_down, f"{self._names.partner} is not at the broker")
            try:
                await self._thread.together(
                    self._listen(broker, meeting, key), self._talk(broker, meeting, key), self._watch(meeting)
                )
                while payloads := self._waiting(meeting):
                    await self._tell(broker, meeting, key, payloads)
            except (LostError, MessageError, BrokerError) as error:
                self._failed(error)  # at once: a broker that hangs takes its time over the goodbye
                await self._part(broker, will)
                raise
            await self._part(broker, will)

    async def _part(self, broker: Connection, will: Will) -> None:
        """Say goodbye; nothing is retained then."""
        await broker.publish(will.topic, will.payload)
        await broker.publish(will.topic, b"", retain=True)

    def _topic(self, router: str, what: str) -> Topic:
        return Topic(self._site, router, KIND, what)

    async def _announce(self, broker: Connection, meeting: Meeting, key: bytes) -> None:
        payload = signing.seal("pair", meeting.announcement(), key)
        await broker.publish(str(self._topic(self._names.router, SESSION)), payload, retain=True)
        if broker.refused is not None:
            raise broker.refused

    async def _listen(self, broker: Connection, meeting: Meeting, key: bytes) -> None:
        doubted = False
        async for message in broker.messages():
            try:
                said = signing.unseal("pair", message.payload, key, MOST) if message.payload else {}
            except signing.RefusedError as error:
                self._say("what came by the broker is not the partner's", topic=message.topic, reason=str(error))
                if not (meeting.up or doubted):  # once: anybody may write there, and each reason is logged
                    doubted = True
                    self._thread.at_home(self._is_down, f"what {self._names.partner} says at the broker: {error}")
                continue
            was_up, payloads = meeting.up, None
            if "state" in said:  # wherever it stands: whoever may write there may say it again
                await self._hear_of(broker, meeting, key, said)
            elif said:
                payloads = meeting.heard(said)
            if payloads is not None or (meeting.up and not was_up):
                self._heard_at = time.monotonic()
            if meeting.up and not was_up:
                self._thread.at_home(self._is_up, meeting.mine)
            for payload in payloads or ():
                self._home.counts.received(payload)
            if heard := [known for payload in payloads or () if (known := decode(payload)) is not None]:
                self._thread.at_home(self._said, heard)

    async def _hear_of(self, broker: Connection, meeting: Meeting, key: bytes, said: dict[str, Any]) -> None:
        """The partner has announced itself."""
        rival = meeting.rival
        if meeting.announced(said):
            await self._announce(broker, meeting, key)
        if meeting.rival and meeting.rival != rival:
            self._say(
                "another router calls itself as the partner does", reason="give each router of a site its own name"
            )

    async def _talk(self, broker: Connection, meeting: Meeting, key: bytes) -> None:
        said_at = 0.0
        while True:
            self._news.clear()
            payloads = self._waiting(meeting)
            more = self._outbox.octets > 0
            up = self._session == meeting.mine
            if payloads or (up and time.monotonic() - said_at >= SIGN):
                self._news.set()  # nobody need wake this thread for what is looked for afterwards anyway
                await self._tell(broker, meeting, key, payloads)
                said_at = time.monotonic()
                await asyncio.sleep(PAUSE if more else LULL)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SIGN):
                    await self._news.wait()

    def _waiting(self, meeting: Meeting) -> list[bytes]:
        """Take some of what is to be said, if that is meant for this session and not for one before."""
        return self._outbox.take(AT_ONCE) if self._session == meeting.mine else []

    async def _tell(self, broker: Connection, meeting: Meeting, key: bytes, payloads: list[bytes]) -> None:
        """Say something, be it only that this router is there."""
        for payload in payloads:
            self._home.counts.sent(payload)
        room = min(LOT, (broker.most - _AROUND) // 2) if broker.most else LOT  # half, as in MOST
        together = room if meeting.lots else 0
        sealed = [signing.seal("pair", meeting.said(*lot), key) for lot in divided(payloads, together) or [[]]]
        topic = str(self._topic(self._names.router, SAID))
        qos = 1 if time.monotonic() - self._taken_at >= SIGN else 0
        for each in sealed:
            await broker.publish(topic, each, qos=qos)
            if broker.refused is not None:
                raise broker.refused
        if qos:
            self._taken_at = time.monotonic()

    async def _watch(self, meeting: Meeting) -> None:
        """Notice a partner that says nothing, and that too much waits for it."""
        self._full.clear()
        while True:
            left = self._heard_at + SILENCE - time.monotonic() if meeting.up else SILENCE
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(left, 0.1)):
                    await self._full.wait()
                    raise LostError(
                        f"the broker takes too little: more than {MOST_WAITING} octets wait for the partner"
                    )
            if meeting.up and time.monotonic() - self._heard_at >= SILENCE:
                raise LostError(f"the partner has said nothing for {SILENCE:g} s")

    def _say(self, event: str, **fields: Any) -> None:
        """Log something that anybody may bring about: once in a while."""
        if time.monotonic() - self._told_at > QUIET:
            self._told_at = time.monotonic()
            self._thread.at_home(self._home.say, "warning", event, **fields)
