"""VIPs that each have their own nodes, as Services with externalTrafficPolicy: Local: who announces what, and when.

Nodes and VIPs are numbers, counted from 0. All choices are drawn from a fixed seed: every daemon gets the same.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Sequence
from functools import cache

from benchmarks.net import node

Placement = list[frozenset[int]]
"""The nodes of each VIP."""
Changes = list[tuple[int, list[int], list[int]]]
"""(node, VIPs that it announces, VIPs that it withdraws), in the order in which that happens."""
Wanted = dict[int, frozenset[bytes]]
"""VIP -> the gateways, four octets each, that its route is to lead to; none: no route."""


def placed(nodes: int, vips: int, each: int, *, distinct: bool = False) -> Placement:
    """Draw `each` of the nodes for every VIP; `distinct`: no two VIPs have the same (there must be that many)."""
    draw = random.Random(nodes * vips)
    found: Placement = []
    seen: set[frozenset[int]] = set()
    while len(found) < vips:
        drawn = frozenset(draw.sample(range(nodes), each))
        if not (distinct and drawn in seen):
            found.append(drawn)
            seen.add(drawn)
    return found


def introduced(placement: Placement, first: int = 0) -> Changes:
    """Let the nodes announce their VIPs one by one, nodes and VIPs in any order; `first` is the number of VIP 0."""
    held: dict[int, list[int]] = {}
    for vip, nodes in enumerate(placement, first):
        for each in nodes:
            held.setdefault(each, []).append(vip)
    draw = random.Random(len(placement))
    order = sorted(held)
    draw.shuffle(order)
    for vips in held.values():
        draw.shuffle(vips)
    return [(number, held[number], []) for number in order]


def rolled(placement: Placement, nodes: int, first: int = 0) -> tuple[Placement, Changes]:
    """Let every VIP gain one node and lose another, one change at a time, in any order; return what comes of it."""
    draw = random.Random(nodes + len(placement))
    after: Placement = []
    changes: Changes = []
    for vip, before in enumerate(placement, first):
        gained = draw.choice(sorted(set(range(nodes)) - before))
        lost = draw.choice(sorted(before))
        after.append(before - {lost} | {gained})
        changes += [(gained, [vip], []), (lost, [], [vip])]
    draw.shuffle(changes)
    return after, changes


def wanted(placement: Sequence[Iterable[int]], first: int = 0) -> Wanted:
    """Return what the kernel is to have."""
    return {vip: frozenset(map(gateway, nodes)) for vip, nodes in enumerate(placement, first)}


@cache
def gateway(number: int) -> bytes:
    """Return a node's address as the kernel has it."""
    return socket.inet_aton(node(number))
