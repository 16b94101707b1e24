"""One writer per network namespace: two would take each other's routes for leftovers.

The lock is an abstract Unix socket (unix(7)). Its name belongs to the network namespace, as routes do, so that
containers that share the host's namespace share it, too. It needs no file and no right, and goes with its holder.
"""

from __future__ import annotations

import errno
import socket
import struct
from typing import Self

_NAME = "\0routerd/writer"
_UCRED = struct.Struct("=iII")


class WriterLockedError(Exception):
    """Another process holds the lock."""


class WriterLock:
    """Held between enter and exit; WriterLockedError on entering names the process that has it."""

    def __enter__(self) -> Self:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(_NAME)
        except OSError as error:
            self._socket.close()
            if error.errno != errno.EADDRINUSE:
                raise
            raise WriterLockedError(f"routerd runs in this network namespace already{_holder()}") from None
        self._socket.listen(socket.SOMAXCONN)  # so that others learn who holds it
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()


def _holder() -> str:
    """Return ` (pid 4711, user id 0)`: nothing while it comes or goes, or if its pid namespace is another."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.setblocking(False)
        try:
            client.connect(_NAME)
        except (ConnectionRefusedError, BlockingIOError):
            return ""
        pid, uid, _ = _UCRED.unpack(client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return f" (pid {pid}, user id {uid})" if pid else ""
