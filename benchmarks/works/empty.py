"""What a daemon costs that has a peer but no route: its memory, and its command from start to end."""

from __future__ import annotations

import time

from benchmarks import processes
from benchmarks.contenders import Contender
from benchmarks.figures import Figure, Target
from benchmarks.stage import Values, stage
from benchmarks.works.work import Scale, Work

_TIMES = 5


def _empty(kind: type[Contender], _: Scale) -> Values:
    with stage(kind) as on:
        on.ready(1)
        time.sleep(1.0)
        held = processes.memory(on.contender.pids())
        return {"memory-0": [held], "status-0": [on.status() for _ in range(_TIMES)]}


WORKS = (
    Work(
        "empty",
        (
            Figure("memory-0", "memory with no route", "B", Target(absolute=70e6)),
            Figure("status-0", "`status` with no route", target=Target(absolute=0.12)),
        ),
        _empty,
    ),
)
