"""Tables that are loaded and withdrawn: from the first byte sent until the FIB is complete."""

from __future__ import annotations

import time
from functools import partial

from benchmarks import processes
from benchmarks.contenders import Contender
from benchmarks.figures import Figure, Target
from benchmarks.stage import SETTLE, Values, stage
from benchmarks.works.work import Scale, Work

LOSS = Target(frr=0.01, bird=0.01, absolute=0.005)
_STATUS_TIMES = 5


def _one(kind: type[Contender], scale: Scale) -> Values:
    """Load a table from one peer, and withdraw it."""
    routes = scale.of(100_000)
    with stage(kind) as on:
        on.ready(1)
        took = on.load(routes)
        time.sleep(SETTLE)
        begun = on.peers.do(f"withdraw 0 {routes}")
        return {"load-1": [took], "withdraw": [on.fib.withdrawn(routes, on.contender.check) - begun]}


def _three(kind: type[Contender], scale: Scale) -> Values:
    """Load one table from each of three peers; look at memory and `status`; then lose a peer."""
    routes = scale.of(100_000)
    with stage(kind) as on:
        on.ready(3)
        took = on.load(routes, 3)
        time.sleep(1.0)
        held = processes.memory(on.contender.pids())
        asked = [on.status() for _ in range(_STATUS_TIMES)]
        return {"load-3": [took], "memory-3": [held], "status": asked, "loss-3": [on.lose(2, routes)]}


def _fifty(kind: type[Contender], scale: Scale) -> Values:
    routes = scale.of(2_000)
    with stage(kind) as on:
        on.ready(50)
        return {"load-50": [on.load(routes, 50)]}


def _attributes(kind: type[Contender], scale: Scale, sets: int) -> Values:
    with stage(kind) as on:
        on.ready(1, "--distinct", str(scale.of(sets)))
        return {"attributes": [on.load(scale.of(sets) * 10)]}


def _thousand(kind: type[Contender], scale: Scale) -> Values:
    """Many peers, each with prefixes of its own."""
    peers, routes = scale.of(1_000), 100
    with stage(kind) as on:
        on.ready(peers, "--apart")
        return {"load-1000": [on.load(routes, total=routes * peers)]}


def _million(kind: type[Contender], scale: Scale) -> Values:
    with stage(kind) as on:
        on.ready(1)
        took = on.load(scale.of(1_000_000))
        time.sleep(1.0)
        return {"load-1m": [took], "memory-1m": [processes.memory(on.contender.pids())]}


WORKS = (
    Work(
        "load-1",
        (
            Figure("load-1", "load 1 peer x 100,000", target=Target(frr=0.4)),
            Figure("withdraw", "withdraw 100,000", target=Target(frr=1.0)),
        ),
        _one,
    ),
    Work(
        "load-3",
        (
            Figure("load-3", "load 3 peers x 100,000 (ECMP of 3)", target=Target(frr=0.5, bird=1.0)),
            Figure("memory-3", "memory at 3 x 100,000", "B", Target(frr=1.0, absolute=120e6)),
            Figure("status", "`status` with 3 x 100,000", target=Target(absolute=0.12)),
            Figure("loss-3", "lose 1 of 3 peers, 100,000 prefixes", target=LOSS),
        ),
        _three,
    ),
    Work(
        "load-50",
        (Figure("load-50", "load 50 peers x 2,000 (ECMP of 50)", target=Target(frr=1.0, bird=0.3)),),
        _fifty,
    ),
    Work(
        "attributes",
        (Figure("attributes", "load 100,000, 10,000 attribute sets", target=Target(frr=1.0)),),
        partial(_attributes, sets=10_000),
    ),
    Work(
        "load-1000",
        (Figure("load-1000", "load 1,000 peers x 100", target=Target(frr=1.5)),),
        _thousand,
    ),
    Work(
        "million",
        (
            Figure("load-1m", "load 1 peer x 1,000,000"),
            Figure("memory-1m", "memory at 1 x 1,000,000", "B"),
        ),
        _million,
    ),
)
