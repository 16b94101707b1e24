"""What the service manager is told: sd_notify(3). Routing does not wait for one that is stuck."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Self


class ServiceManager:
    """The socket that NOTIFY_SOCKET names; without it nobody is told anything. It is closed on exit."""

    def __init__(self) -> None:
        named = os.environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + named[1:] if named.startswith("@") else named
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def tell(self, text: str) -> None:
        """Send a message, unless that has to wait: who repeats it is heard once the manager reads again. The socket
        may have been made anew under its name meanwhile."""
        with contextlib.suppress(OSError):
            self._socket.sendto(text.encode(), self._address)
