"""Single UPDATEs on a quiet table, each until the kernel says that it has the route.

Whoever sends them hears of the routes, too, and nothing else runs meanwhile but the daemon.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.contenders import Contender
from benchmarks.fib import notified
from benchmarks.figures import Figure, Target, quantile
from benchmarks.generator import KEEPALIVE, hello, updates
from benchmarks.net import NODE_AS, ROUTER, Site, inside, node
from benchmarks.processes import at_once
from benchmarks.stage import ESTABLISHED, Values, stage
from benchmarks.works.work import Scale, Work

_TABLE = 10_000
_PAUSE = 0.01
"""Seconds between two UPDATEs: the table is quiet."""
_HOLD = 90


def _updates(kind: type[Contender], scale: Scale) -> Values:
    table, count = scale.of(_TABLE), scale.of(200)
    with stage(kind) as on, _peer(on.site, node(0)) as announce:
        announce(0, table)
        on.fib.loaded(table, 1, on.contender.check)
        time.sleep(1.0)
        took: list[float] = []
        with notified(on.site.router) as came, at_once():
            for number in range(_TABLE, _TABLE + count):
                begun = announce(number, 1)
                took.append(came(number) - begun)
                time.sleep(_PAUSE)
        return {"update-p50": [quantile(took, 0.5)], "update-p99": [quantile(took, 0.99)]}


@contextmanager
def _peer(place: Site, address: str) -> Iterator[Callable[[int, int], float]]:
    """Be a peer; what is yielded announces so many host routes, from one on, and returns when it began to."""
    with inside(place.nodes):
        sock = socket.create_connection((ROUTER, 179), 30.0, (address, 0))
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(hello(NODE_AS, _HOLD, address) + KEEPALIVE)
        time.sleep(ESTABLISHED)

        def announce(first: int, count: int) -> float:
            update = updates(NODE_AS, address, first, count, 0)
            begun = time.monotonic()
            sock.sendall(update)
            return begun

        yield announce


WORKS = (
    Work(
        "update",
        (
            Figure("update-p50", "one UPDATE, quiet table, p50", target=Target(absolute=0.00045)),
            Figure("update-p99", "one UPDATE, quiet table, p99", target=Target(absolute=0.0015)),
        ),
        _updates,
    ),
)
