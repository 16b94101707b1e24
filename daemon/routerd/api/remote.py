"""Metrics over TCP, and nothing else: read-only, bounded, with a token and TLS if that is wanted."""

from __future__ import annotations

import asyncio
import hmac
import socket
import ssl
from collections.abc import Awaitable, Callable

from uvicorn.server import ServerState

from routerd.api.application import Message, Receive, Send, respond
from routerd.api.caller import Caller
from routerd.api.connection import Connection
from routerd.api.endpoints import PROMETHEUS
from routerd.api.server import configured

CONNECTIONS = 16
"""At once: each of a few Prometheus servers keeps one."""
HANDSHAKE_TIME = 5.0
"""Seconds for TLS to begin."""
BACKLOG = 16
PATH = "/metrics"
_PLAIN = "text/plain; charset=utf-8"


class RemoteConnection(Connection):
    """A connection over TCP: nobody knows who is at the other end."""

    def who(self, connection: socket.socket) -> Caller:
        """Return somebody who may change nothing."""
        return Caller(pid=0, uid=-1, groups=frozenset())

    def admits(self, who: Caller) -> bool:
        """Tell whether there is room for one more."""
        return len(self.connections) < CONNECTIONS


class MetricsApplication:
    """Answers `GET /metrics` with the `page`; whoever does not know the `token`, if there is one, with 401."""

    def __init__(self, page: Callable[[], Awaitable[bytes]], token: str = "") -> None:
        self._page = page
        self._token = token

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        said = dict(scope["headers"]).get(b"authorization", b"")
        if self._token and not hmac.compare_digest(said, b"Bearer " + self._token.encode()):
            await respond(send, 401, _PLAIN, b"a bearer token is wanted\n", (b"www-authenticate", b"Bearer"))
        elif scope["path"] != PATH:
            await respond(send, 404, _PLAIN, b"there is /metrics, and nothing else\n")
        elif scope["method"] != "GET":
            await respond(send, 405, _PLAIN, b"GET is what /metrics is for\n", (b"allow", b"GET"))
        else:
            await respond(send, 200, PROMETHEUS, await self._page())


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
    state = ServerState()

    def accept() -> RemoteConnection:
        return RemoteConnection(config=config, server_state=state, app_state={})

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        accept,
        sock=listener,
        ssl=tls,
        ssl_handshake_timeout=None if tls is None else HANDSHAKE_TIME,
        backlog=BACKLOG,
    )
    try:
        await asyncio.Event().wait()
    finally:
        # First what was accepted becomes a connection: asyncio forgets one that has none when its server is closed.
        loop.remove_reader(listener.fileno())
        for _ in range(3):
            await asyncio.sleep(0)
        server.close()
        for connection in list(state.connections):
            connection.transport.abort()
