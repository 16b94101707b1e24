"""A connection of the API, bounded: how many there are, how much a request says, and how long it takes."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import termios
from collections.abc import Awaitable, Callable, Iterator
from email.utils import formatdate
from functools import partial
from typing import Any

import h11

from routerd.api.application import Message, Receive, Send
from routerd.api.caller import caller
from routerd.api.pace import pace
from routerd.bare import bare

with bare("uvicorn"):
    from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTIONS = 256
"""At once; the last `RESERVED` of them are for root, whom nobody shall lock out."""
RESERVED = 32
HEAD = 8192
"""Octets of a request's line and header fields, while they are incomplete."""
BODY = 1024
"""Octets of a request's body: no request needs one."""
REQUEST_TIME = 10.0
"""Seconds from a request's first octet, or from the start of the connection, to the last octet of the answer that is
handed to the kernel."""
IDLE_TIME = 60.0
"""Seconds after an answer in which it must be read, and may be followed by another request."""


class Connection(H11Protocol):
    """uvicorn's own, with bounds; what it is asked carries the `Caller` in its state."""

    _deadline: asyncio.TimerHandle | None = None
    _asking = True

    def who(self, connection: socket.socket) -> Any:
        """Return who is at the other end."""
        return caller(connection)

    def admits(self, who: Any) -> bool:
        """Tell whether there is room for one more of them."""
        return len(self.connections) < (CONNECTIONS if who.uid == 0 else CONNECTIONS - RESERVED)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note who it is, or turn them away."""
        connection: socket.socket = transport.get_extra_info("socket")
        who = self.who(connection)
        if not self.admits(who):
            transport.write(TOO_MANY)
            transport.close()
            return
        super().connection_made(transport)
        self.app_state = self.app_state | {
            "caller": who,
            "endless": self._endless,
            "abort": transport.abort,
            "unread": partial(_unread, transport, connection),
            "unread_by_all": self._unread_by_all,
        }
        self._within(REQUEST_TIME)

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended, and its timers with it."""
        if self._deadline is None:
            return  # turned away
        self._deadline.cancel()
        self._unset_keepalive_if_required()  # after an error uvicorn keeps its own, and with it the request
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in part of a request; a slow one wins no time with every octet."""
        if not self._asking:
            self._asking = True
            self._within(REQUEST_TIME)
        self.server_state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
        super().data_received(data)

    def on_response_complete(self) -> None:
        """The answer is on its way: it is to be read, and another request may follow."""
        self._asking = False
        self._within(IDLE_TIME)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; within a body the answer has begun already, or nobody waits for it."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and (
            self.cycle is None or self.cycle.response_complete
        ):
            super().send_400_response(msg)
            return
        if self.cycle is not None:
            self.cycle.disconnected = True
        self.transport.abort()

    def _unread_by_all(self) -> int:
        """Return the octets that all connections have yet to hand to the kernel."""
        return sum(each.transport.get_write_buffer_size() for each in self.connections)

    def _endless(self) -> None:
        """The answer goes on; who sends it looks to its reader."""
        if self._deadline is not None:
            self._deadline.cancel()

    def _within(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self._late)

    def _late(self) -> None:
        """Cut it off, unless it waits for an answer that is late because routing comes first."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if answering and pace().held_up(REQUEST_TIME):
            self._within(REQUEST_TIME)
        else:
            self.transport.abort()


def _unread(transport: asyncio.Transport, connection: socket.socket) -> bool:
    """Tell whether the other end has yet to take something; unix(7) has SIOCOUTQ, which is TIOCOUTQ."""
    waiting = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    return bool(transport.get_write_buffer_size() or any(waiting))


_DETAIL = b'{"detail":"routerd has too many connections to its API; close some"}'
TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s" % (len(_DETAIL), _DETAIL)
)


class Bounded:
    """The application without bodies, and one answer a turn of the event loop, so that routing goes on in between."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self._app = app
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if _says_too_much(scope):
            await _refuse_body(send)
            return
        async with self._turn:
            await asyncio.sleep(0)
        await self._app(scope, receive, send)


def _says_too_much(scope: Message) -> bool:
    fields: Iterator[tuple[bytes, bytes]] = iter(scope["headers"])
    # h11 has seen to it that a length is a number, and that there is one.
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and int(value) > BODY) for name, value in fields
    )


async def _refuse_body(send: Send) -> None:
    body = b'{"detail":"no request to routerd has a body"}'
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
