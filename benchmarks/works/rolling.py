"""A rolling restart of what stands behind 500 VIPs: each gains a node and loses another, one change at a time.

Real TCP connections to all VIPs meanwhile. Those on the node that a VIP loses go with it; all others should live.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.failover import flows

from benchmarks.contenders import Contender
from benchmarks.contenders.contender import BenchError
from benchmarks.fib import BASE
from benchmarks.figures import Figure, Target, quantile
from benchmarks.stage import Stage, Values, stage
from benchmarks.subsets import Changes, Placement, gateway, placed, rolled
from benchmarks.works.subsets import PATIENCE
from benchmarks.works.work import Scale, Work
from routerd.lab.process import Process
from routerd.lab.waiting import until

_NODES = 20
_EACH = 3
"""Connections to every VIP, and nodes of every VIP."""
_RATE = 100
"""Changes a second, whether the ones before are in the FIB or not."""
_PAUSE = (1.0, 2.0)
"""Seconds between two lines of a connection, least and most."""
_POLL = 0.0001


def _rolling(kind: type[Contender], scale: Scale) -> Values:
    vips = scale.of(500)
    before = placed(_NODES, vips, _EACH)
    after, changes = rolled(before, _NODES)
    with stage(kind, apart=_NODES) as on, _servers(on), flows.client(on.site.client) as client:
        on.ready(_NODES)
        on.place(before, PATIENCE)
        on.quiet(PATIENCE)
        for vip in range(vips):
            address = socket.inet_ntoa((BASE + vip).to_bytes(4, "big"))
            opened = client.open(str(vip), address, _EACH, pause=_PAUSE)
            if opened.broken:
                raise BenchError(f"no connection to VIP {vip}: {opened.why}")
        took = _change(on, changes)
        time.sleep(_PAUSE[1] + flows.STALL + 0.5)  # until each connection has noticed
        broken, staying = _broken(client, before, after)
        if not staying:
            raise BenchError("no connection was on a node that stays")
        return {
            "rolling-broken": [float(broken)],
            "rolling-p50": [quantile(took, 0.5)],
            "rolling-p99": [quantile(took, 0.99)],
        }


def _change(on: Stage, changes: Changes) -> list[float]:
    """Make the changes at their times; return the seconds until the kernel had each of them."""
    waiting: list[tuple[float, int, bytes, bool]] = []
    took: list[float] = []
    started = time.monotonic()
    for number, change in enumerate(changes):
        peer, gained, lost = change
        while (left := started + number / _RATE - time.monotonic()) > 0:
            _look(on, waiting, took)
            time.sleep(min(left, _POLL if waiting else left))
        waiting.append((on.tell([change]), (gained + lost)[0], gateway(peer), bool(gained)))
    deadline = time.monotonic() + PATIENCE
    while waiting:
        _look(on, waiting, took)
        on.contender.check()
        if time.monotonic() > deadline:
            raise BenchError(f"{len(waiting)} of {len(changes)} changes are not in the FIB after {PATIENCE:g} s")
        time.sleep(_POLL)
    return took


def _look(on: Stage, waiting: list[tuple[float, int, bytes, bool]], took: list[float]) -> None:
    """Take those changes off the list that the kernel has."""
    for entry in list(waiting):
        begun, vip, leg, there = entry
        if (leg in on.fib.legs([vip])[0]) is there:
            took.append(time.monotonic() - begun)
            waiting.remove(entry)


def _broken(client: flows.Flows, before: Placement, after: Placement) -> tuple[int, int]:
    """Return how many connections on nodes that stay are broken, and how many there were."""
    broken = staying = 0
    for vip, (old, new) in enumerate(zip(before, after, strict=True)):
        report = client.report(str(vip))
        for number in map(str, old & new):
            broken += report.broken.get(number, 0)
            staying += report.broken.get(number, 0) + report.alive.get(number, 0)
    return broken, staying


@contextmanager
def _servers(on: Stage) -> Iterator[None]:
    log = on.contender.directory / "servers"
    command = [sys.executable, "-m", "benchmarks.servers", *(str(place.pid) for place in on.site.each)]
    process = Process(on.site.nodes, command, log)
    try:
        until(lambda: "" if "ready" in log.read_text() else log.read_text() or "not yet", 10, "the nodes' servers")
        yield
    finally:
        process.kill()


WORKS = (
    Work(
        "rolling",
        (
            Figure("rolling-broken", "rolling restart: broken flows of 1,000", "n", Target(absolute=0)),
            Figure("rolling-p50", "rolling restart: a change in the FIB, p50", target=Target(absolute=0.002)),
            Figure("rolling-p99", "rolling restart: a change in the FIB, p99", target=Target(absolute=0.010)),
        ),
        _rolling,
    ),
)
