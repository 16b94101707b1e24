"""Many peers lost at the same moment: until every VIP leads to the one node of it that is left, and nowhere else."""

from __future__ import annotations

from functools import partial

from benchmarks import tables
from benchmarks.contenders import Contender
from benchmarks.figures import Figure, Target
from benchmarks.stage import Values, stage
from benchmarks.subsets import placed, wanted
from benchmarks.works.subsets import PATIENCE
from benchmarks.works.work import Scale, Work

_STAYING = 10
_EACH = 3
"""Nodes of a VIP that are lost; one stays."""


def _at_once(kind: type[Contender], scale: Scale, peers: int) -> Values:
    lost = scale.of(peers)
    vips = 2 * lost
    left = [frozenset({lost + vip % _STAYING}) for vip in range(vips)]
    placement = [nodes | more for nodes, more in zip(placed(lost, vips, _EACH), left, strict=True)]
    with stage(kind) as on:
        on.ready(lost + _STAYING)
        on.place(placement, PATIENCE)
        on.quiet(PATIENCE)
        begun = on.peers.do(f"close {' '.join(map(str, range(lost)))}")
        right = tables.right(on.fib, wanted(left), on.contender.check, patience=PATIENCE)
        return {f"at-once-{peers}": [right - begun]}


WORKS = tuple(
    Work(
        f"at-once-{peers}",
        (Figure(f"at-once-{peers}", f"lose {peers:,} peers at once", target=Target(absolute=seconds)),),
        partial(_at_once, peers=peers),
        mass=peers >= 1_000,
    )
    for peers, seconds in ((250, 0.1), (1_000, 1.0))
)
