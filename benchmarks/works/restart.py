"""The daemon is killed and started again under 2,000 groups while packets flow: graceful restart on all sides.

While it is away some VIPs change their nodes: once the last node has said its End-of-RIB, these must be put right,
and nothing else needs a route message.
"""

from __future__ import annotations

import time

from benchmarks import tables
from benchmarks.contenders import Contender, Settings
from benchmarks.contenders.contender import BenchError
from benchmarks.figures import Figure, Target
from benchmarks.packets import stream
from benchmarks.route_messages import counted
from benchmarks.stage import Values, stage
from benchmarks.subsets import placed, rolled, wanted
from benchmarks.works.subsets import PATIENCE
from benchmarks.works.work import Scale, Work

_CARRYING, _FLOWS, _RATE = 100, 4, 2_000
"""VIPs that carry flows, flows of each, packets a second in all."""
_CHANGED = 40
"""VIPs that change, after those that carry flows."""
_PAUSE = 0.5
"""Seconds between the steps: until the nodes have noticed."""


def _restart(kind: type[Contender], scale: Scale) -> Values:
    nodes, carrying, changed = scale.of(50), scale.of(_CARRYING), scale.of(_CHANGED)
    before = placed(nodes, carrying + changed + scale.of(2_000), 3)
    some, changes = rolled(before[carrying : carrying + changed], nodes, carrying)
    after = before[:carrying] + some + before[carrying + changed :]
    with stage(kind, Settings(graceful=True)) as on:
        on.ready(nodes, "--redial")
        on.place(before, PATIENCE)
        on.quiet(PATIENCE)
        with stream(on.site, range(carrying), _FLOWS, _RATE) as finish, counted(on.site.router) as messages:
            time.sleep(_PAUSE)
            on.contender.kill()
            time.sleep(_PAUSE)
            on.tell(changes)
            time.sleep(_PAUSE)
            on.contender.start()
            back = on.peers.heard("back")
            right = tables.right(on.fib, wanted(after), on.contender.check, patience=PATIENCE)
            on.quiet(PATIENCE)
            needless = sum(count for vip, count in messages().items() if before[vip] == after[vip])
            report = finish()
        if not report.sent:
            raise BenchError("no packet was sent")
        return {
            "restart": [right - back],
            "restart-lost": [float(report.lost)],
            "restart-messages": [float(needless)],
        }


WORKS = (
    Work(
        "restart",
        (
            Figure("restart", "restart under 2,140 VIPs, after the last End-of-RIB", target=Target(absolute=2.0)),
            Figure("restart-lost", "restart: packets lost", "n", Target(absolute=0)),
            Figure("restart-messages", "restart: route messages of what did not change", "n", Target(absolute=0)),
        ),
        _restart,
    ),
)
