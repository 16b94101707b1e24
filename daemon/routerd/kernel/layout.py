"""Building a resilient group with a given layout of buckets: which member serves which bucket.

The kernel takes no layout. But in a group that no route uses yet every bucket is idle, and a REPLACE then hands
buckets over in the order of their index, from the members that have more than their weight to those that have less.
So all buckets start with a stand-in, and every step gives the next ones to their members, until the stand-in has none
left. Members that gain in one step gain in the reverse of the order in which they are listed (net/ipv4/nexthop.c).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from types import MappingProxyType

from routerd.core.layout import made
from routerd.core.message import Member


def steps(
    layout: Sequence[int], stand_in: int, busy: Mapping[int, int] = MappingProxyType({})
) -> Iterator[tuple[Member, ...]]:
    """Yield the members of every REPLACE; weights are bucket counts. The stand-in has buckets for which `layout` is
    wanted, and others have those that are `busy`."""
    left = len(layout)
    counts = Counter(busy)
    gaining: dict[int, int] = {}
    for owner, run in groupby(layout):
        if owner in gaining:
            left -= sum(gaining.values())
            yield _step(counts, gaining, stand_in, left)
            gaining = {}
        gaining[owner] = len(list(run))
    left -= sum(gaining.values())
    yield _step(counts, gaining, stand_in, left)


def at_once(runs: Sequence[tuple[int, int]], members: Sequence[Member]) -> tuple[Member, ...]:
    """Return the members in the order in which a group of this layout can be made with one message; empty if there is
    none."""
    weights = {member.id: member for member in members}
    order = tuple(weights[id] for id, _ in reversed(runs) if id in weights)
    if len(order) != len(members) or len(runs) != len(members):
        return ()
    return order if made(sum(length for _, length in runs), order) == list(runs) else ()


def held(counts: Mapping[int, int], members: Sequence[Member], widest: int) -> tuple[Member, ...]:
    """Return the members with weights that move no bucket; `counts` is how many each has.

    Those that have none come first, with the least weight: they want none, as far as weights up to `widest` can say
    it.
    """
    most = max((counts.get(member.id, 0) for member in members), default=0)
    if not most:
        return tuple(members)
    scale = widest // most or widest / most
    weighed = [Member(member.id, max(1, round(scale * counts.get(member.id, 0)))) for member in members]
    return tuple(sorted(weighed, key=lambda member: member.weight))


def settled(counts: Counter[int], members: Sequence[Member]) -> tuple[Member, ...]:
    """Return the members in an order in which each wants the buckets that it has (`counts`), with its own weight;
    empty if there is none. The kernel rounds the sum of weights up to a member (nh_res_group_rebalance in
    net/ipv4/nexthop.c)."""
    size, total = counts.total(), sum(member.weight for member in members)
    left, ordered = list(members), list[Member]()
    begin = weight = 0
    for place in members:
        weight += place.weight
        end = (size * weight + total // 2) // total
        fitting = (each for each in left if each.weight == place.weight and counts[each.id] == end - begin)
        if (found := next(fitting, None)) is None:
            return ()
        left.remove(found)
        ordered.append(found)
        begin = end
    return tuple(ordered)


def _step(counts: Counter[int], gaining: dict[int, int], stand_in: int, left: int) -> tuple[Member, ...]:
    counts.update(gaining)
    order = [id for id in counts if id not in gaining] + list(reversed(gaining))
    members = [Member(id, counts[id]) for id in order]
    return (*members, Member(stand_in, left)) if left else tuple(members)
