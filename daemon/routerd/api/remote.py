"""Metrics over TCP, and nothing else: read-only, bounded, with a token and TLS if that is wanted."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from uvicorn.server import ServerState

from routerd.accepting import accepting
from routerd.api.application import Message, Receive, Send, respond
from routerd.api.caller import Caller
from routerd.api.connection import TOO_MANY, Connection
from routerd.api.endpoints import PROMETHEUS
from routerd.api.limits import Places, client_of
from routerd.api.server import configured
from routerd.shared import Shared

CONNECTIONS = 16
"""At once, handshakes included: each of a few Prometheus servers keeps one. A client has a part of them at most."""
HANDSHAKE_TIME = 5.0
"""Seconds for TLS to begin."""
PATH = "/metrics"
_PLAIN = "text/plain; charset=utf-8"


class RemoteConnection(Connection):
    """A connection over TCP, which has a place: nobody knows who is at the other end. `ended` is set once it is."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ended = asyncio.Event()

    def who(self, connection: socket.socket) -> Caller:
        """Return somebody who may change nothing."""
        return Caller(pid=0, uid=-1, groups=frozenset())

    def admits(self, who: Caller) -> bool:
        """Whoever has a place is let in."""
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended."""
        self.ended.set()
        super().connection_lost(exc)


class MetricsApplication:
    """Answers `GET /metrics` with the `page`; whoever does not know the `token`, if there is one, with 401."""

    def __init__(self, page: Callable[[], Awaitable[bytes]], token: str = "") -> None:
        self._page = Shared(page)
        self._token = token

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        scheme, _, said = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
        # The name of a scheme may be written in any case (RFC 9110 section 11.1).
        known = scheme.lower() == b"bearer" and hmac.compare_digest(said.strip(), self._token.encode())
        if self._token and not known:
            fields = (b"www-authenticate", b"Bearer"), (b"connection", b"close")
            await respond(send, 401, _PLAIN, b"a bearer token is wanted\n", *fields)
        elif scope["path"] != PATH:
            await respond(send, 404, _PLAIN, b"there is /metrics, and nothing else\n")
        elif scope["method"] not in ("GET", "HEAD"):  # of which nobody gets the body
            await respond(send, 405, _PLAIN, b"GET is what /metrics is for\n", (b"allow", b"GET, HEAD"))
        else:
            await respond(send, 200, PROMETHEUS, await self._page.get())


def bind(address: str, port: int) -> socket.socket:
    """Return a socket that is bound to a place; OSError if it cannot be."""
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        if listener.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
    except OSError:
        listener.close()
        raise
    return listener


async def serve(
    page: Callable[[], Awaitable[bytes]], listener: socket.socket, token: str, tls: ssl.SSLContext | None
) -> None:
    """Serve until cancelled; then the listener and all connections are closed."""
    config = configured(MetricsApplication(page, token), RemoteConnection)
    config.load()
    state, places, loop = ServerState(), Places(CONNECTIONS), asyncio.get_running_loop()
    tasks = set[asyncio.Task[None]]()

    def take(connection: socket.socket, address: Any) -> None:
        client = client_of(address[0])
        if not places.take(client):
            with contextlib.suppress(OSError):
                if tls is None:
                    connection.send(TOO_MANY)
            connection.close()
            return

        def ended(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            connection.close()
            places.leave(client)

        # It has its place from before TLS begins until it ends.
        task = loop.create_task(keep(connection))
        tasks.add(task)
        task.add_done_callback(ended)

    async def keep(connection: socket.socket) -> None:
        made = RemoteConnection(config=config, server_state=state, app_state={})
        limit = None if tls is None else HANDSHAKE_TIME
        with contextlib.suppress(OSError):  # no TLS, or not in time
            transport, _ = await loop.connect_accepted_socket(
                lambda: made, connection, ssl=tls, ssl_handshake_timeout=limit
            )
            try:
                await made.ended.wait()
            finally:
                if not made.ended.is_set():
                    transport.abort()  # of one that is lost nothing is left, which is an error with Python 3.11.2

    try:
        with accepting(listener, take):
            await asyncio.Event().wait()
    finally:
        listener.close()
        for each in tasks:
            each.cancel()
        if tasks:
            await asyncio.wait(tasks)
