"""A connection to a broker: the seam behind which aiomqtt is, with its errors in an operator's words (`errors.py`).

MQTT 5, and no session that outlives the connection: whoever comes back says all again.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiomqtt
from paho.mqtt.enums import LogLevel
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from routerd.config.broker import place
from routerd.telemetry.mqtt.access import Access
from routerd.telemetry.mqtt.errors import ENDED, BrokerError, explained, text_of
from routerd.telemetry.mqtt.topics import LARGEST, ROOT

KEEPALIVE = 10
"""Seconds between two signs of life; the broker tells the will after one and a half of it (MQTT 5, 3.1.2.10)."""
PATIENCE = 10.0
"""Seconds that the broker may take for an answer."""
_OVERHEAD = 4096
"""Octets, at most, of a packet from the broker beside its payload: properties are its to choose."""
_HEADERS = 16
"""Octets of a PUBLISH to the broker beside topic and payload: both headers, with the expiry alone as a property."""
MOST_UNREAD = 20_000
"""Messages that wait to be read; what comes beyond is dropped."""
_SILENT = logging.getLogger("routerd.mqtt.library")
_SILENT.disabled = True

_OF_A_ROUTER = len(f"{ROOT}/site/router".split("/"))
"""Levels of the topics that are one router's."""
_FAILURE = 0x80
"""The least reason code that says so (MQTT 5, 2.4)."""


class Will(NamedTuple):
    """What the broker is to retain for a client that is gone without a word."""

    topic: str
    payload: bytes


class Message(NamedTuple):
    """What came: `retained` if the broker had it from before."""

    topic: str
    payload: bytes
    retained: bool


class Connection:
    """A connection that stands. Every method raises BrokerError once it does not."""

    def __init__(self, client: _Client) -> None:
        self._client = client
        self.last = 0.0
        """When the broker last took a message, in seconds since 1970."""
        self.refused: BrokerError | None = None
        """The last that the broker did not let the client write, if there was something."""

    @property
    def most(self) -> int:
        """Octets of a packet that the broker takes at most; 0 if it has not said so."""
        return self._client.most

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, expiry: int | None = None
    ) -> bool:
        """Hand a message over; with QoS 1 return whether the broker has it. It keeps it for `expiry` seconds.

        What is larger than it takes would end the connection (MQTT 5, 3.2.2.3.6), and is not sent.
        """
        if self.most and len(topic.encode()) + len(payload) + _HEADERS > self.most:
            self.refused = _refusal(f"{topic} (it takes {self.most} octets at most)", "have it take larger packets")
            return False
        properties = None
        if expiry is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = expiry
        this = self._client.written = object()  # others of the same topic may be on their way
        await self._client.publish(topic, payload, qos, retain, properties)
        if (why := self._client.refused.pop(this, None)) is None:
            self.last = time.time()
            return True
        routers = "/".join(topic.split("/")[:_OF_A_ROUTER])
        self.refused = _refusal(f"{topic} ({why})", f"let it write {routers}/#")
        return False

    async def subscribe(self, *filters: str, qos: int = 1) -> None:
        """Ask for what matches; BrokerError if the broker does not allow it. What this client says is not told."""
        options = SubscribeOptions(qos=qos, noLocal=True)
        codes = await self._client.subscribe([(each, options) for each in filters])
        for each, code in zip(filters, codes, strict=False):
            if isinstance(code, ReasonCode) and code.is_failure:
                raise BrokerError(f"the broker does not allow to read {each}", "let this user read it")

    async def unsubscribe(self, *filters: str) -> None:
        """Ask for what matches no more."""
        await self._client.unsubscribe(list(filters))

    def messages(self) -> AsyncIterator[Message]:
        """Return what comes, as it comes."""
        return self._client.unread()


class _Client(aiomqtt.Client):
    """Notes what the broker refuses, which aiomqtt takes for done, and who ends a connection without an answer, for
    which aiomqtt waits on."""

    written: object = None
    """The message that is about to be handed over."""
    most = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.refused: dict[object, str] = {}
        self._written_as: dict[int, object] = {}
        self._failed = ""
        self._unread = deque[Message]()
        self._news = asyncio.Event()
        self._client.on_log = self._note

    def _note(self, client: Any, userdata: Any, level: int, text: str) -> None:
        """Keep what is wrong with the connection: nothing but the library's log has the alert of TLS 1.3."""
        if level == LogLevel.MQTT_LOG_ERR:
            self._failed = text.partition(": ")[2] or text

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None) -> None:
        self._client.on_log = None
        self.most = getattr(properties, "MaximumPacketSize", 0)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(self, *arguments: Any, **named: Any) -> None:
        if self._connected.done():
            super()._on_disconnect(*arguments, **named)
            return
        self._connected.set_exception(aiomqtt.MqttError(self._failed or ENDED))
        self._connected.exception()  # if nobody waits any more, nobody is to be told so

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        """Write at once: aiomqtt wakes the loop for it, and asks first whether the socket takes something, as nearly
        always. The first packet may come from another thread."""
        if self._connected.done():
            client.loop_write()
            if client.socket() is None or not client.want_write():
                return
        super()._on_socket_register_write(client, userdata, sock)

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        if len(self._unread) < MOST_UNREAD:
            self._unread.append(Message(message.topic, message.payload, message.retain))
        self._news.set()

    async def unread(self) -> AsyncIterator[Message]:
        """Yield what comes, without the two tasks and a future that aiomqtt makes for each."""
        self._disconnected.add_done_callback(lambda _: self._news.set())
        while True:
            while self._unread:
                yield self._unread.popleft()
            if self._disconnected.done():
                raise aiomqtt.MqttError("disconnected") from self._disconnected.exception()
            self._news.clear()
            await self._news.wait()

    def _pending_call(self, mid: int, value: Any, pending: Any) -> Any:
        if pending is self._pending_publishes:
            self._written_as[mid] = self.written
        return super()._pending_call(mid, value, pending)

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason_code: Any, properties: Any) -> None:
        written = self._written_as.pop(mid, None)
        if getattr(reason_code, "value", 0) >= _FAILURE:
            self.refused[written] = str(reason_code)
        super()._on_publish(client, userdata, mid, reason_code, properties)


@asynccontextmanager
async def connection(
    access: Access, identifier: str | None, will: Will | None = None, largest: int = LARGEST
) -> AsyncIterator[Connection]:
    """Connect to a broker, which is to send payloads of `largest` octets at most. BrokerError if that fails, and if
    the connection breaks within the block.

    Names are looked up, and connections made, in a thread of the loop's default executor.
    """
    at = place(access.url)
    limits = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    limits.MaximumPacketSize = largest + _OVERHEAD
    try:
        client = _Client(
            at.host,
            at.port,
            username=access.user or None,
            password=_first_line(access.password_file),
            identifier=identifier,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            properties=limits,
            will=None if will is None else aiomqtt.Will(will.topic, will.payload, 1, True),
            keepalive=KEEPALIVE,
            timeout=PATIENCE,
            tls_context=_tls(access) if at.tls else None,
            logger=_SILENT,
        )
        client.pending_calls_threshold = int(1e9)
        async with client:
            yield Connection(client)
    except (aiomqtt.MqttError, OSError, ValueError) as error:
        raise explained(access, error) from error


def _first_line(path: str) -> str | None:
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise BrokerError(f"{path} cannot be read: {text_of(error)}", "let routerd's user read it") from error


def _tls(access: Access) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=access.ca_file or None)
        if access.certificate_file:
            context.load_cert_chain(access.certificate_file, access.key_file, password=_no_password)
    except (OSError, ValueError) as error:
        files = ", ".join(each for each in (access.ca_file, access.certificate_file, access.key_file) if each)
        raise BrokerError(
            f"a certificate or key cannot be used: {text_of(error)}", f"look into {files}: PEM, and readable"
        ) from error
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted, and nobody is there to be asked for its password")


def _refusal(what: str, remedy: str) -> BrokerError:
    return BrokerError(f"the broker does not let this user write {what}", remedy)
