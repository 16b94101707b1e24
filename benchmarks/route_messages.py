"""The kernel's route notifications, counted by host route.

Only where no table is loaded: a kernel with listeners also tells of every route under a changed nexthop group.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.fib import BASE
from benchmarks.net import inside
from routerd.kernel import wire
from routerd.lab.namespaces import Namespace

_RTMGRP_IPV4_ROUTE = 0x40
_BUFFER = 64 << 20
"""Bytes: nobody reads until the end."""
_RTMSG, _RTA_DST = 12, 1


@contextmanager
def counted(router: Namespace) -> Iterator[Callable[[], Counter[int]]]:
    """Listen. What is yielded returns how many messages there were of each host route, since it was called last."""
    with inside(router):
        sock = wire.open_socket(groups=_RTMGRP_IPV4_ROUTE, receive_buffer=_BUFFER)
    sock.setblocking(False)
    with sock:
        yield lambda: _numbers(sock)


def _numbers(sock: socket.socket) -> Counter[int]:
    found: Counter[int] = Counter()
    while True:
        try:
            data = sock.recv(1 << 16)
        except BlockingIOError:
            return found
        offset = 0
        while offset < len(data):
            length, _, _, _, _ = wire.HEADER.unpack_from(data, offset)
            attributes = wire.attributes(data, offset + wire.HEADER.size + _RTMSG, offset + length)
            destination = attributes.get(_RTA_DST, b"")
            if destination[:1] == b"\x14":
                found[int.from_bytes(destination, "big") - BASE] += 1
            offset += (length + 3) & ~3
