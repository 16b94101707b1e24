"""The looking glass on TCP: whoever reaches it may ask, so far as the limits go."""

from __future__ import annotations

import math
import os
import socket
import time
from typing import Any

from routerd.api.application import Application, Message, Receive, Send, respond
from routerd.api.connection import Connection
from routerd.api.limits import Places, Rates, client_of
from routerd.api.lookingglass.endpoints import endpoints
from routerd.api.server import run
from routerd.core.router import Router

ALL = 8
"""All clients together may ask so many times as often as one: a network of IPv6 has thousands of clients."""


class _Application(Application):
    """Says what is wrong as birdwatcher does, where Alice-LG looks for it; and to whom asks too often, when to ask
    again."""

    explains = "error"
    described = False

    def __init__(self, router: Router, rate: int) -> None:
        super().__init__(endpoints(router))
        self._rates, self._all = Rates(rate), Rates(rate * ALL)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        now = time.monotonic()
        # Who asks too often takes nothing from the others.
        if wait := self._rates.wait(scope["state"]["caller"], now) or self._all.wait("", now):
            body = b'{"error":"too many requests; ask again later"}'
            await respond(send, 429, "application/json", body, (b"retry-after", str(math.ceil(wait)).encode()))
            return
        # Alice-LG puts `/status` behind what its own example ends with a slash.
        path = "/" + scope["path"].lstrip("/")
        await super().__call__({**scope, "path": path}, receive, send)


def _connection(places: Places) -> type[Connection]:
    """Return the connections of a looking glass with so many places."""

    class Public(Connection):
        _client = ""

        def who(self, connection: socket.socket) -> Any:
            try:
                return client_of(connection.getpeername()[0])
            except OSError:
                return "gone"  # it was reset before anybody looked

        def admits(self, who: Any) -> bool:
            admitted = places.take(who)
            self._client = who if admitted else ""
            return admitted

        def connection_lost(self, exc: Exception | None) -> None:
            if self._client:
                places.leave(self._client)
            super().connection_lost(exc)

    return Public


def listen(addresses: tuple[str, ...], port: int) -> list[socket.socket]:
    """Return sockets that listen; OSError, which names the place, if one cannot."""
    found: list[socket.socket] = []
    try:
        for address in addresses:
            found.append(_bound(address, port))
    except OSError:
        for each in found:
            each.close()
        raise
    return found


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        made = socket.create_server((address, port), family=family)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, why, f"{address} port {port}") from error
    made.setblocking(False)
    return made


async def serve(router: Router, listeners: list[socket.socket], rate: int, connections: int) -> None:
    """Serve until cancelled."""
    await run(_Application(router, rate), listeners, _connection(Places(connections)))
