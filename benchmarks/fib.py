"""What the kernel's IPv4 FIB of a namespace holds, asked in ways that weigh little and the same on every daemon.

Three questions, from the cheapest on: one route (some 10 us, under RCU), how many there are (fib_triestat, 2 ms at
100,000), and a dump whose attributes are counted as bytes (40 ms at 100,000). A wait asks for a sample of the routes
until all of it is as it should be, and only then the dearer questions. No route notifications are subscribed to while
tables change: with listeners the kernel announces each route under a replaced nexthop group, which weighs on
those daemons alone that use groups. Times are of the monotonic clock, in seconds.
"""

from __future__ import annotations

import errno
import random
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders.contender import BenchError
from benchmarks.net import inside
from routerd.kernel import wire
from routerd.lab.namespaces import Namespace

BASE = 0x14000000
"""20.0.0.0, where the generator's host routes begin."""
SAMPLE, FEW = 64, 16
"""Routes that are asked for until they are right: a table's, and those that a peer's loss is seen by. It is over in
milliseconds, and the kernel takes 0.04 ms to tell a route with 50 legs."""
PAUSE = 0.0005
CENSUS_PAUSE = 0.005
TIMEOUT = 300.0

_RTM_F_FIB_MATCH = 0x2000
_ROUTE_BYTES = b"\x08\x00\x01\x00\x14"
"""RTA_DST, of four bytes, of which the first is 20."""
_GATEWAY = b"\x08\x00\x05\x00"
"""RTA_GATEWAY, of four bytes: alone in a route with one leg, else in each rtnexthop of RTA_MULTIPATH."""
_NODES = _GATEWAY + b"\x0a\x63"
_RTMGRP_IPV4_ROUTE = 0x40


@dataclass(frozen=True, slots=True)
class Census:
    """A dump: how many of the generator's routes there are, and how many legs they have together."""

    routes: int
    legs: int


class Fib:
    """The main table of a namespace; it holds none of the generator's routes when this is made.

    `asked` are the host routes whose legs were asked for: the kernel counts such a question as a packet.
    """

    def __init__(self, router: Namespace) -> None:
        with inside(router):
            self._socket = wire.open_socket()
        self.router = router
        self._statistics = Path(f"/proc/{router.pid}/net/fib_triestat")
        self._own = self._prefixes()
        self.asked: set[int] = set()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def count(self) -> int:
        """Return how many routes have come since this was made."""
        return self._prefixes() - self._own

    def legs(self, numbers: Sequence[int]) -> list[frozenset[bytes]]:
        """Return the gateways of each of these host routes; none for one that is not there."""
        self.asked.update(numbers)
        self._socket.send(b"".join(_question(number) for number in numbers))
        return [_gateways(self._socket.recv(1 << 16)) for _ in numbers]

    def census(self, gateway: str = "") -> Census:
        """Dump the table; with a gateway, count only the legs that lead there."""
        wanted = _GATEWAY + socket.inet_aton(gateway) if gateway else _NODES
        body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, wire.TABLE, 0, 0, wire.RTN_UNICAST, 0)
        routes = legs = 0
        with inside(self.router):
            sock = wire.open_socket()
        with sock:
            sock.send(wire.request(wire.RTM_GETROUTE, wire.NLM_F_DUMP, body))
            done = False
            while not done:
                data = sock.recv(1 << 17)
                routes += data.count(_ROUTE_BYTES)
                legs += data.count(wanted)
                done = _ends(data)
        return Census(routes, legs)

    def loaded(self, routes: int, legs: int, check: Callable[[], None]) -> float:
        """Wait until all routes are there with so many legs each, and return when they were."""

        def complete() -> bool:
            return legs == 1 or self.census() == Census(routes, routes * legs)

        def counted() -> bool:
            return self.count() == routes

        return self._wait(_sample(range(routes), SAMPLE), lambda found: len(found) == legs, counted, complete, check)

    def withdrawn(self, routes: int, check: Callable[[], None]) -> float:
        """Wait until none of the routes is there, and return when that was."""
        return self._wait(
            _sample(range(routes), SAMPLE), lambda found: not found, lambda: self.count() == 0, lambda: True, check
        )

    def without(self, gateway: str, routes: Sequence[int], check: Callable[[], None]) -> float:
        """Wait until no route leads to a gateway any more, and return when that was; `routes` are those that did."""
        dead = socket.inet_aton(gateway)

        def gone() -> bool:
            return self.census(gateway).legs == 0

        return self._wait(_sample(routes, FEW), lambda found: dead not in found, lambda: True, gone, check)

    def _wait(
        self,
        sample: list[int],
        right: Callable[[frozenset[bytes]], bool],
        counted: Callable[[], bool],
        confirmed: Callable[[], bool],
        check: Callable[[], None],
    ) -> float:
        """Return when sample and count were right, provided that the dump made then confirms it."""
        left = sample
        deadline, next_check = time.monotonic() + TIMEOUT, time.monotonic() + 1.0
        while True:
            # What was not right a moment ago is asked for alone, and the others once it is.
            if right(self.legs(left[:1])[0]):
                found = self.legs(left)
                left = [number for number, legs in zip(left, found, strict=True) if not right(legs)]
            if not left:
                if counted():
                    now = time.monotonic()
                    if confirmed():
                        return now
                    time.sleep(CENSUS_PAUSE)
                left = sample
            if (now := time.monotonic()) > next_check:
                next_check = now + 1.0
                check()
                if now > deadline:
                    raise BenchError(f"not within {TIMEOUT:g} s: {self.count()} routes, {self.census()}")
            time.sleep(PAUSE)

    def _prefixes(self) -> int:
        found = re.search(r"^Main:.*?Prefixes:\s+(\d+)", self._statistics.read_text(), re.DOTALL | re.MULTILINE)
        return int(found[1]) if found else 0


@contextmanager
def notified(router: Namespace) -> Iterator[Callable[[int], float]]:
    """Listen to the routes of a quiet table; what is yielded waits for a host route and says when it came."""
    with inside(router):
        sock = wire.open_socket(groups=_RTMGRP_IPV4_ROUTE, receive_buffer=1 << 20)
    sock.settimeout(5.0)

    def came(number: int) -> float:
        wanted = wire.attribute(1, struct.pack("!I", BASE + number))
        while True:
            data = sock.recv(1 << 16)
            now = time.monotonic()
            if wire.HEADER.unpack_from(data)[1] == wire.RTM_NEWROUTE and wanted in data:
                return now

    with sock:
        yield came


def _sample(routes: Sequence[int], size: int) -> list[int]:
    """Return the last route, the first one and some between them."""
    some = random.Random(len(routes)).sample(routes, min(size, len(routes)))
    return [routes[-1], routes[0], *some]


def _question(number: int) -> bytes:
    head = struct.pack("=BBBBBBBBI", socket.AF_INET, 32, 0, 0, 0, 0, 0, 0, _RTM_F_FIB_MATCH)
    return wire.request(wire.RTM_GETROUTE, 0, head + wire.attribute(1, struct.pack("!I", BASE + number)))


def _gateways(data: bytes) -> frozenset[bytes]:
    if wire.HEADER.unpack_from(data)[1] == wire.NLMSG_ERROR:
        if (code := wire.error(data)[1]) in (errno.ENETUNREACH, errno.EHOSTUNREACH):
            return frozenset()
        raise BenchError(f"the kernel does not say what leads to a host route: errno {code}")
    return frozenset(part[:4] for part in data.split(_GATEWAY)[1:] if part.startswith(_NODES[4:]))


def _ends(data: bytes) -> bool:
    """Tell whether a datagram of a dump has its NLMSG_DONE."""
    offset = 0
    while offset < len(data):
        length, kind, _, _, _ = wire.HEADER.unpack_from(data, offset)
        if kind == wire.NLMSG_ERROR:
            raise BenchError(f"the dump failed: {wire.error(data, offset)}")
        if kind == wire.NLMSG_DONE:
            return True
        offset += (length + 3) & ~3
    return False
