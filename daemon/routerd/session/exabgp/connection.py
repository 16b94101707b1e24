"""An accepted TCP connection with buffers of its own.

ExaBGP reads a header and a body with four system calls, and lets a KEEPALIVE go out in the middle of an UPDATE that
the socket took only in part. Here one read serves many messages, and all output goes through one ordered buffer.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections import deque
from collections.abc import Iterator
from typing import ClassVar

from exabgp.bgp.message import Message, Notify
from exabgp.reactor.network.error import LostConnection
from exabgp.reactor.network.incoming import Incoming

MAX_OUTPUT = 64 << 20
"""Bytes that may wait for a peer that does not read."""

_READ = 64 << 10
_HEADER = 19
_LINGER = 1.0
_MAX_LINGERING = 128

_TYPES = frozenset(range(1, 6))
"""OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE-REFRESH."""


class Connection(Incoming):  # type: ignore[misc]
    """One TCP connection from a peer; `peer` and `local` are the two ends' addresses as text."""

    io: socket.socket | None
    _lingering: ClassVar[deque[tuple[float, socket.socket]]] = deque()

    def __init__(self, afi: object, peer: str, local: str, io: socket.socket) -> None:
        super().__init__(afi, peer, local, io)
        self._input = b""
        self._offset = 0
        self._output = bytearray()
        self.taken = 0
        """Octets that the socket has taken; whoever has reported them counts them down."""
        self._progress = time.monotonic()
        self.heard = time.monotonic()
        """When the last octets came, by the monotonic clock."""

    # ------------------------------------------------------------------------------------------------- input

    def receive(self) -> bool:
        """Read what has come; False for nothing. LostConnection when the peer is gone."""
        if self.io is None:
            raise LostConnection("the connection is closed")
        try:
            data = self.io.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            raise LostConnection(error.strerror or str(error)) from None
        if not data:
            raise LostConnection("closed by the peer")
        self.heard = time.monotonic()
        self._input = self._input[self._offset :] + data
        self._offset = 0
        return True

    def readable(self) -> bool:
        """Tell whether the peer has sent something that is not read yet."""
        try:
            return self.io is not None and bool(self.io.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        except OSError:
            return True  # reading will say what is wrong

    def messages(self) -> Iterator[tuple[int, bytes]]:
        """Yield type and body of each whole message that was received; Notify on a bad header (RFC 4271 6.1)."""
        data, size = self._input, len(self._input)
        while size - self._offset >= _HEADER:
            start = self._offset
            length = data[start + 16] << 8 | data[start + 17]
            kind = data[start + 18]
            if not data.startswith(Message.MARKER, start):
                raise Notify(1, 1, b"")
            if kind not in _TYPES:
                raise Notify(1, 3, bytes([kind]))
            if not _HEADER <= length <= self.msg_size or not Message.Length[kind](length):
                raise Notify(1, 2, length.to_bytes(2, "big"))
            if start + length > size:
                return
            self._offset = start + length
            yield kind, data[start + _HEADER : start + length]

    # ------------------------------------------------------------------------------------------------ output

    def queue(self, data: bytes) -> None:
        """Put whole messages in line."""
        if not self._output:
            self._progress = time.monotonic()
        self._output += data
        self.flush()

    def writer(self, data: bytes) -> Iterator[bool]:
        """Take a message; ExaBGP's writers step through this until it ends."""
        self.queue(data)
        yield True

    def flush(self) -> None:
        """Write what the socket takes; an error here shows again, with its cause, at the next read."""
        if self.io is None:
            self._output.clear()
            return
        while self._output:
            try:
                sent = self.io.send(self._output)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._output.clear()
                return
            del self._output[:sent]
            self.taken += sent
            self._progress = time.monotonic()

    @property
    def unsent(self) -> int:
        """How many bytes wait for the peer to read."""
        return len(self._output)

    @property
    def stalled(self) -> float:
        """For how many seconds the peer has taken nothing of what waits."""
        return time.monotonic() - self._progress if self._output else 0.0

    def close(self) -> None:
        """Close our side, and the socket a second later.

        Closed with input unread, the kernel would send a reset, and the peer would lose our last NOTIFICATION.
        The copy has a file descriptor of its own: the reactor must not hear of it any more.
        """
        if self.io is None:
            return
        io, self.io = self.io, None
        with contextlib.suppress(OSError):  # ENOTCONN: the peer has closed already
            io.shutdown(socket.SHUT_WR)
            self._lingering.append((time.monotonic() + _LINGER, io.dup()))
        io.close()

    @classmethod
    def expire(cls, now: float) -> None:
        """Close what has lingered long enough."""
        while cls._lingering and (cls._lingering[0][0] <= now or len(cls._lingering) > _MAX_LINGERING):
            cls._lingering.popleft()[1].close()
