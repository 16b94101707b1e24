"""VIPs that each have their own nodes: announced node by node, in any order, until the kernel has all right."""

from __future__ import annotations

import time
from functools import partial

from benchmarks import processes, tables
from benchmarks.contenders import Contender
from benchmarks.figures import Figure, Target
from benchmarks.net import node
from benchmarks.stage import Stage, Values, stage
from benchmarks.subsets import Placement, placed, wanted
from benchmarks.works.work import Scale, Work

PATIENCE = 60.0
MASS_PATIENCE = 150.0
"""Seconds after which a daemon that is not done has failed."""


def _load(kind: type[Contender], scale: Scale, *, key: str, nodes: int, vips: int, each: int) -> Values:
    count = scale.of(nodes)
    with stage(kind) as on:
        on.ready(count)
        return {f"subsets-{key}": [on.place(placed(count, scale.of(vips), each), PATIENCE)]}


def _fifty(kind: type[Contender], scale: Scale) -> Values:
    """Load; see what the CPU was used for; lose a node."""
    count = scale.of(50)
    placement = placed(count, scale.of(2_000), 3)
    with stage(kind) as on:
        on.ready(count)
        before = processes.cpu(on.contender.pids())
        took = on.place(placement, PATIENCE)
        tables.right(on.fib, wanted(placement), on.contender.check, patience=PATIENCE, even=True)
        on.quiet(PATIENCE)
        used = processes.cpu(on.contender.pids()) - before
        gone, whole = _lose(on, placement, 0)
        return {"subsets-50": [took], "subsets-50-cpu": [used], "subsets-gone": [gone], "subsets-whole": [whole]}


def _lose(on: Stage, placement: Placement, number: int) -> tuple[float, float]:
    """Close a node's session; return the seconds until no route leads to it, and until all routes are right again."""
    those = [vip for vip, nodes in enumerate(placement) if number in nodes]
    left = [nodes - {number} for nodes in placement]
    check = on.contender.check
    begun = on.peers.do(f"close {number}")
    gone = on.fib.without(node(number), those, check)
    whole = tables.right(on.fib, wanted(left), check, patience=PATIENCE, even=True)
    return gone - begun, whole - begun


def _mass(
    kind: type[Contender], scale: Scale, *, key: str, nodes: int, vips: int, each: int, distinct: bool = False
) -> Values:
    """Load, and see what daemon and kernel need for it."""
    count = nodes if distinct else scale.of(nodes)
    with stage(kind) as on:
        on.ready(count)
        before = processes.kernel_memory()
        took = on.place(placed(count, scale.of(vips), each, distinct=distinct), MASS_PATIENCE)
        time.sleep(1.0)
        grown = max(0.0, processes.kernel_memory() - before)
        held = processes.memory(on.contender.pids())
        return {f"subsets-{key}": [took], f"subsets-{key}-memory": [held], f"subsets-{key}-kernel": [grown]}


def _small(key: str, nodes: int, vips: int, each: int) -> Work:
    title = f"load {vips:,} VIPs on {each} of {nodes} nodes each"
    return Work(
        f"subsets-{key}",
        (Figure(f"subsets-{key}", title),),
        partial(_load, key=key, nodes=nodes, vips=vips, each=each),
    )


def _large(key: str, nodes: int, vips: int, each: int, distinct: bool = False) -> Work:
    size = f"{vips:,} groups of {each} nodes" if distinct else f"{vips:,} VIPs on {each} of {nodes} nodes"
    return Work(
        f"subsets-{key}",
        (
            Figure(f"subsets-{key}", f"load {size}", target=Target() if distinct else Target(frr=1.5)),
            Figure(f"subsets-{key}-memory", f"memory at {size}", "B"),
            Figure(f"subsets-{key}-kernel", f"kernel memory at {size}", "B"),
        ),
        partial(_mass, key=key, nodes=nodes, vips=vips, each=each, distinct=distinct),
        mass=True,
    )


WORKS = (
    _small("10-100", 10, 100, 2),
    _small("10-500", 10, 500, 3),
    _small("20", 20, 1_000, 3),
    Work(
        "subsets-50",
        (
            Figure("subsets-50", "load 2,000 VIPs on 3 of 50 nodes each", target=Target(frr=1.0)),
            Figure("subsets-50-cpu", "CPU time to load 2,000 VIPs on 3 of 50 nodes", target=Target(absolute=3.45)),
            Figure("subsets-gone", "lose 1 of 50 nodes, 2,000 VIPs on 3 each", target=Target(absolute=0.005)),
            Figure("subsets-whole", "lose 1 of 50 nodes: all groups whole again", target=Target(absolute=0.1)),
        ),
        _fifty,
    ),
    _large("100", 100, 5_000, 3),
    _large("200", 200, 10_000, 2),
    _large("groups", 100, 10_000, 3, distinct=True),
)
