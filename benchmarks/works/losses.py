"""Peers that are lost: from the end of the connection until no route leads to the peer any more."""

from __future__ import annotations

import time
from functools import partial

from benchmarks.contenders import Contender
from benchmarks.figures import Figure, Target
from benchmarks.stage import SETTLE, Values, stage
from benchmarks.works.loads import LOSS
from benchmarks.works.work import Scale, Work


def _fifty(kind: type[Contender], scale: Scale) -> Values:
    """Fifty peers with the same prefixes, of which one is lost."""
    routes = scale.of(100_000)
    with stage(kind) as on:
        on.ready(50)
        on.contender.pause_kernel()
        on.peers.do(f"load 0 {routes}")
        on.peers.heard("sent")
        on.quiet()
        on.contender.resume_kernel()
        on.fib.loaded(routes, 50, on.contender.check)
        on.quiet()
        return {"loss-50": [on.lose(49, routes)]}


def _wide(kind: type[Contender], scale: Scale) -> Values:
    """VIPs that are on all fifty nodes, of which one is lost."""
    routes = scale.of(1_000)
    with stage(kind) as on:
        on.ready(50)
        on.load(routes, 50)
        on.quiet()
        return {"loss-wide": [on.lose(49, routes)]}


def _three(kind: type[Contender], scale: Scale, routes: int, key: str, losses: int = 1) -> Values:
    """Three peers, of which one is lost, and perhaps comes back and is lost again."""
    routes = scale.of(routes)
    with stage(kind) as on:
        on.ready(3)
        on.load(routes, 3)
        took = []
        for round_ in range(losses):
            if round_:
                on.peers.command("open 2")
                on.peers.heard("up")
                on.load(routes, 3, f"load 0 {routes} 2")
            time.sleep(2 * SETTLE)
            took.append(on.lose(2, routes))
        return {key: took}


_FLAT = Target(absolute=0.005)

WORKS = (
    Work(
        "loss-50",
        (Figure("loss-50", "lose 1 of 50 peers, 100,000 prefixes", target=LOSS),),
        _fifty,
    ),
    Work(
        "loss-wide",
        (
            Figure(
                "loss-wide",
                "lose 1 of 50 peers, 1,000 VIPs on all",
                target=Target(frr=0.25, bird=0.25, absolute=0.05),
            ),
        ),
        _wide,
    ),
    Work(
        "loss-1k",
        (Figure("loss-1k", "lose 1 of 3 peers, 1,000 prefixes", target=_FLAT),),
        partial(_three, routes=1_000, key="loss-1k", losses=3),
    ),
    Work(
        "loss-1m",
        (Figure("loss-1m", "lose 1 of 3 peers, 1,000,000 prefixes", target=_FLAT),),
        partial(_three, routes=1_000_000, key="loss-1m"),
    ),
)
