"""What sessions cost that have nothing to say but KEEPALIVEs, every 30 s in both directions."""

from __future__ import annotations

import time
from functools import partial

from benchmarks import processes
from benchmarks.contenders import Contender
from benchmarks.figures import Figure, Target
from benchmarks.stage import Values, stage
from benchmarks.works.work import Scale, Work

_WINDOW, _STEP, _WINDOWS = 30.0, 10.0, 3
"""Each window spans all keepalives of all peers once. They overlap: three take 50 s."""


def _idle(kind: type[Contender], scale: Scale, peers: int) -> Values:
    count = scale.of(peers)
    step = _STEP * min(1.0, max(0.1, scale.share))
    with stage(kind) as on:
        on.ready(count)
        on.load(10, legs=min(count, 64))
        time.sleep(3.0 * min(1.0, scale.share))
        marks: list[tuple[float, float]] = []
        for number in range(round(_WINDOW / _STEP) + _WINDOWS):
            if number:
                time.sleep(step)
            marks.append((time.monotonic(), processes.cpu(on.contender.pids())))
        windows = zip(marks, marks[round(_WINDOW / _STEP) :], strict=False)
        return {f"idle-{peers}": [(cpu1 - cpu0) / (end - start) for (start, cpu0), (end, cpu1) in windows]}


WORKS = tuple(
    Work(
        f"idle-{peers}",
        (Figure(f"idle-{peers}", f"CPU of a core, {peers:,} idle peers", "%", Target(absolute=share)),),
        partial(_idle, peers=peers),
        runs=1,
    )
    for peers, share in ((100, 0.01), (1_000, 0.10))
)
