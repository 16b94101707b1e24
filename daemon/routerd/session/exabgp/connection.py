"""A TCP connection, whoever has opened it, with buffers of its own.

ExaBGP reads a header and a body with four system calls, and lets a KEEPALIVE go out in the middle of an UPDATE that
the socket took only in part. Here one read serves many messages, and all output goes through one ordered buffer.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import termios
import time
from collections import deque
from collections.abc import Iterator
from typing import ClassVar

from exabgp.bgp.message import Message, Notify
from exabgp.reactor.network.error import LostConnection
from exabgp.reactor.network.incoming import Incoming

MAX_OUTPUT = 64 << 20
"""Bytes that may wait for a peer that does not read."""

_KEEPALIVE = {socket.TCP_KEEPIDLE: 30, socket.TCP_KEEPINTVL: 15, socket.TCP_KEEPCNT: 4}
"""Seconds of silence before the first probe, seconds between two, and how many: together the default hold time."""
_TCP_ESTABLISHED = 1  # net/tcp_states.h; the first octet of struct tcp_info
READ = 64 << 10
_HEADER = 19
_LINGER = 1.0
_MAX_LINGERING = 128

_ANY = 1 << 16
_LENGTHS = {1: range(29, _ANY), 2: range(23, _ANY), 3: range(21, _ANY), 4: range(19, 20), 5: range(23, _ANY)}
"""Message type -> the lengths that a message may have (RFC 4271 section 6.1). A longer ROUTE-REFRESH than RFC 2918's
filters routes (RFC 5291 section 4), which is none of our business, and no reason to end a session."""


class Connection(Incoming):  # type: ignore[misc]
    """One TCP connection with a peer; `peer` and `local` are the two ends' addresses as text."""

    io: socket.socket | None
    _buffer: ClassVar[memoryview] = memoryview(bytearray(READ))
    _lingering: ClassVar[deque[tuple[float, socket.socket]]] = deque()

    def __init__(self, afi: object, peer: str, local: str, io: socket.socket) -> None:
        super().__init__(afi, peer, local, io)
        self._input = b""
        self._offset = 0
        self._lost = ""
        self._output = bytearray()
        self.taken = 0
        """Octets that the socket has taken; whoever has reported them counts them down."""
        self._progress = time.monotonic()
        self.heard = time.monotonic()
        """When the last octets came, by the monotonic clock."""

    @property
    def ports(self) -> tuple[int, int]:
        """The TCP ports of the router and of the peer; zeros once the connection has ended."""
        try:
            return (self.io.getsockname()[1], self.io.getpeername()[1]) if self.io is not None else (0, 0)
        except OSError:
            return 0, 0

    def keep_alive(self) -> None:
        """Have TCP find out whether the peer's kernel is there: for a session whose hold time is 0."""
        if self.io is None:
            return
        self.io.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE.items():
            self.io.setsockopt(socket.IPPROTO_TCP, option, value)

    # ------------------------------------------------------------------------------------------------- input

    def receive(self, limit: int = READ) -> int:
        """Read what has come, `limit` bytes at most; 0 for nothing. LostConnection when the peer is gone."""
        if self.io is None:
            raise LostConnection("the connection is closed")
        if self._lost:
            raise LostConnection(self._lost)
        try:
            size = self.io.recv_into(self._buffer, limit)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._lost = error.strerror or str(error)  # the kernel says it once
            raise LostConnection(self._lost) from None
        if not size:
            raise LostConnection("closed by the peer")
        self.heard = time.monotonic()
        self._input = self._input[self._offset :] + self._buffer[:size]
        self._offset = 0
        return size

    @property
    def hung_up(self) -> bool:
        """Whether the peer has closed, though there may be something to read from before that."""
        return self.io is None or self.io.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _TCP_ESTABLISHED

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
            if kind not in _LENGTHS:
                raise Notify(1, 3, bytes([kind]))
            if length > self.msg_size or length not in _LENGTHS[kind]:
                raise Notify(1, 2, length.to_bytes(2, "big"))
            if start + length > size:
                return
            self._offset = start + length
            yield kind, data[start + _HEADER : start + length]

    def put_back(self, body: bytes) -> None:
        """Undo the taking of the last message."""
        self._offset -= _HEADER + len(body)

    def peek(self) -> tuple[int, bytes] | None:
        """Return type and body of the first message without taking it; None while it is not whole."""
        offset = self._offset
        first = next(self.messages(), None)
        self._offset = offset
        return first

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
    def acknowledged(self) -> bool:
        """Whether the peer's kernel has taken all that was sent, and so has this connection still."""
        if self.io is None or self._output:
            return False
        (waiting,) = struct.unpack("=i", fcntl.ioctl(self.io, termios.TIOCOUTQ, bytes(4)))
        return bool(waiting == 0)

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
    def lingers(cls) -> bool:
        """Tell whether a socket is still to be closed."""
        return bool(cls._lingering)

    @classmethod
    def expire(cls, now: float) -> None:
        """Close what has lingered long enough."""
        while cls._lingering and (cls._lingering[0][0] <= now or len(cls._lingering) > _MAX_LINGERING):
            cls._lingering.popleft()[1].close()
