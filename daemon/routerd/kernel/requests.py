"""A socket for requests without acknowledgements: the kernel answers those alone that it refuses."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterable, Iterator, Sequence
from itertools import starmap
from typing import TypeVar

from routerd.kernel import batch, wire

_SEND_BUFFER = 1 << 20
_RECEIVE_BUFFER = 8 << 20
_ERROR_SIZE = 2304
"""What a refusal takes of the receive buffer, generously: every message of a send may be refused."""

T = TypeVar("T")

Refusals = dict[int, tuple[int, str]]
"""Sequence number -> errno and text of the messages that the kernel refused."""


class Requests:
    """One user at a time. `burst` is how many messages one send may have, if none is larger than one for a route, and
    `room` how many octets; `port` is the netlink port id."""

    def __init__(self) -> None:
        self._socket = wire.open_socket(send_buffer=_SEND_BUFFER, receive_buffer=_RECEIVE_BUFFER)
        self._refusals = select.poll()
        self._refusals.register(self._socket, select.POLLIN)
        self.room = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) - 32
        receive = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        self.burst = max(1, min(self.room // batch.LARGEST, receive // _ERROR_SIZE))
        self.port: int = self._socket.getsockname()[0]

    def close(self) -> None:
        """Close the socket; what was written stays."""
        self._socket.close()

    def transmit(self, requests: Sequence[bytes]) -> Refusals:
        """Send requests of any size; their sequence numbers are their indices."""
        return self.exchange(self.joined(starmap(wire.numbered, enumerate(requests))))

    def joined(self, requests: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        """Yield requests of any size, numbered from 0 on, as `exchange` sends them: as many at a time as one send may
        have."""
        some: list[bytes] = []
        size = 0
        for request in requests:
            if size + len(request) > self.room or len(some) == self.burst:
                yield 0, b"".join(some)
                some, size = [], 0
            some.append(request)
            size += len(request)
        if some:
            yield 0, b"".join(some)

    def bursts(self, things: Sequence[T]) -> Iterator[tuple[int, Sequence[T]]]:
        """Yield as many things as one send may have requests, and the index of the first of them."""
        for start in range(0, len(things), self.burst):
            yield start, things[start : start + self.burst]

    def exchange(self, bursts: Iterable[tuple[int, bytes]]) -> Refusals:
        """Send one burst after the other, each with the number that the sequence numbers in it are counted from."""
        refused: Refusals = {}
        for first, requests in bursts:
            for index, why in self.send(requests).items():
                refused[first + index] = why
        return refused

    def send(self, requests: bytes) -> Refusals:
        """Send no more than a burst. The kernel has done it all when send() returns.

        Whatever it refused waits in the receive buffer then.
        """
        refused: Refusals = {}
        self._socket.send(requests)
        while self._refusals.poll(0):  # mostly there is none, and an exception would take longer
            sequence, number, text = wire.error(self._socket.recv(4096))
            refused[sequence] = (number, text)
        return refused
