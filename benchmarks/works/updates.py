"""Single UPDATEs on a quiet table, each until the kernel says that it has the route."""

from __future__ import annotations

import time

from benchmarks.contenders import Contender
from benchmarks.fib import notified
from benchmarks.figures import Figure, Target, quantile
from benchmarks.stage import Values, stage
from benchmarks.works.work import Scale, Work

_TABLE = 10_000
_PAUSE = 0.01
"""Seconds between two UPDATEs: the table is quiet."""


def _updates(kind: type[Contender], scale: Scale) -> Values:
    count = scale.of(200)
    with stage(kind) as on:
        on.ready(1)
        on.load(scale.of(_TABLE))
        time.sleep(1.0)
        took: list[float] = []
        with notified(on.site.router) as came:
            for number in range(_TABLE, _TABLE + count):
                begun = on.peers.do(f"one 0 {number}")
                took.append(came(number) - begun)
                time.sleep(_PAUSE)
        return {"update-p50": [quantile(took, 0.5)], "update-p99": [quantile(took, 0.99)]}


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
