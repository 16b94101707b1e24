"""A load of VIPs that each have their own nodes, beside VIPs that were there before and carry flows.

Nothing changes for those: a flow of theirs that is led to another node is broken by what the daemon does for others.
"""

from __future__ import annotations

import time

from benchmarks import tables
from benchmarks.contenders import Contender
from benchmarks.contenders.contender import BenchError
from benchmarks.figures import Figure, Target
from benchmarks.flows import Flows
from benchmarks.packets import stream
from benchmarks.stage import Values, stage
from benchmarks.subsets import introduced, placed, wanted
from benchmarks.works.subsets import PATIENCE
from benchmarks.works.work import Scale, Work

_EACH = 10
"""Flows to every VIP."""
_RATE = 1_000
"""Packets a second to every VIP."""
_BEFORE = 1.0
"""Seconds that packets flow before the load begins."""


def _beside(kind: type[Contender], scale: Scale) -> Values:
    nodes, carrying = scale.of(50), scale.of(100)
    placement = placed(nodes, carrying + scale.of(2_000), 3)
    old, new = placement[:carrying], placement[carrying:]
    with stage(kind) as on:
        on.ready(nodes)
        on.place(old, PATIENCE)
        on.quiet(PATIENCE)
        with stream(on.site, range(carrying), _EACH, _RATE * carrying) as finish:
            time.sleep(_BEFORE)
            flows = Flows(on.site, range(carrying), _EACH)
            on.stack.callback(flows.close)

            def check() -> None:
                on.contender.check()
                flows.look()

            begun = on.tell(introduced(new, carrying))
            took = tables.right(on.fib, wanted(placement), check, patience=PATIENCE) - begun
            on.quiet(PATIENCE)
            broken = flows.look()
            report = finish()
        if report.rate < _RATE * carrying / 2:
            raise BenchError(f"only {report.rate:.0f} packets a second were sent: the machine is too busy")
        return {
            "beside": [took],
            "beside-broken": [float(broken)],
            "beside-lost": [float(report.lost)],
        }


WORKS = (
    Work(
        "beside",
        (
            Figure("beside", "load 2,000 VIPs beside flows to 100 others"),
            Figure("beside-broken", "flows broken by that load, of 1,000", "n", Target(absolute=0)),
            Figure("beside-lost", "packets to them that were lost", "n", Target(absolute=0)),
        ),
        _beside,
    ),
)
