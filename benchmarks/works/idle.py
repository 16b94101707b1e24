"""What sessions cost that have nothing to say but KEEPALIVEs, every 30 s in both directions."""

from __future__ import annotations

import time
from functools import partial

from benchmarks import processes
from benchmarks.contenders import Contender
from benchmarks.figures import Figure, Target
from benchmarks.stage import Values, stage
from benchmarks.works.work import Scale, Work

_WINDOW = 30.0
"""Seconds: all keepalives of all peers once."""


def _idle(kind: type[Contender], scale: Scale, peers: int) -> Values:
    count = scale.of(peers)
    with stage(kind) as on:
        on.ready(count)
        on.load(10, legs=min(count, 64))
        time.sleep(3.0 * min(1.0, scale.share))
        begun, before = time.monotonic(), processes.cpu(on.contender.pids())
        time.sleep(_WINDOW * min(1.0, max(0.1, scale.share)))
        used = processes.cpu(on.contender.pids()) - before
        return {f"idle-{peers}": [used / (time.monotonic() - begun)]}


WORKS = tuple(
    Work(
        f"idle-{peers}",
        (Figure(f"idle-{peers}", f"CPU of a core, {peers:,} idle peers", "%", Target(absolute=share)),),
        partial(_idle, peers=peers),
    )
    for peers, share in ((100, 0.004), (1_000, 0.10))
)
