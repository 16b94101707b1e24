"""Connections taken from a socket that listens, also while the process has no descriptor for them.

asyncio's own servers then try as often as their backlog is long, log each time, and set a timer each time that has
them try again: more with every second, until the event loop does nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

PAUSE = 1.0
"""Seconds until one tries again when no descriptor is free: who has connected waits in the kernel."""
_BACKLOG = 1024
"""Connections that the kernel keeps until they are taken."""


@contextlib.contextmanager
def accepting(listener: socket.socket, take: Callable[[socket.socket, Any], None]) -> Iterator[None]:
    """Hand each connection, which does not block, with the address of its other end to `take`, until the block ends.
    The listener stays open."""
    loop = asyncio.get_running_loop()
    again: asyncio.TimerHandle | None = None

    def listen() -> None:
        nonlocal again
        again = None
        loop.add_reader(listener, accept)

    def accept() -> None:
        nonlocal again
        try:
            connection, address = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError:  # no descriptor is free, or no memory
            loop.remove_reader(listener)
            again = loop.call_later(PAUSE, listen)
            return
        connection.setblocking(False)
        take(connection, address)

    listener.setblocking(False)
    listener.listen(_BACKLOG)
    listen()
    try:
        yield
    finally:
        if again is not None:
            again.cancel()
        loop.remove_reader(listener)
