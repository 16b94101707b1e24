"""Which member each bucket of a group is to lead to, given where they lead now, and which of them carry flows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, compress
from typing import TypeVar

from routerd.core.message import Member

AT_ONCE_LOST = 2.0
"""Seconds within which members that are lost one after the other count as lost at once: what goes from one to the
next was the first one's."""
KEPT = 30.0
"""Seconds for which it is remembered what a lost member had."""

Owner = TypeVar("Owner", bound=int | bytes)


def shares(counts: Counter[Owner], pinned: Counter[Owner], weights: Mapping[Owner, int]) -> Counter[Owner]:
    """Return how many buckets each member is to have, of which each has so many now, and of them so many busy.

    What is left when all shares are rounded down goes to the heaviest, and among those to who cannot give it up, or
    has more: a layout that is as the weights want it stays so.
    """
    size, total = counts.total(), sum(weights.values())
    room = Counter({id: size * weight // total for id, weight in weights.items()})
    over = sorted(weights, key=lambda id: (-weights[id], pinned[id] <= room[id], room[id] - counts[id]))
    room.update(over[: size - room.total()])
    return room


def lay_out(buckets: Sequence[tuple[int, bool]], members: Sequence[Member]) -> list[int] | None:
    """Return the member of every bucket of a group that continues `buckets`; None if no member is left there.

    `buckets` are the nexthop id of each and whether it carries flows. Those that do keep their member, if that is
    still one. So do the others, up to the member's weight: a flow may begin in them in the old group, and find its
    way to the new one later. What is left goes where the weights want it. What this returns it leaves as it is.
    """
    weights = {member.id: member.weight for member in members}
    return laid([owner for owner, _ in buckets], [busy for _, busy in buckets], weights)


def laid(owners: Sequence[Owner], busy: Sequence[bool], weights: Mapping[Owner, int]) -> list[Owner] | None:
    """Return what `lay_out` does, of buckets whose members may be known by anything."""
    counts, pinned = Counter(owners), Counter(compress(owners, busy))
    if weights.keys().isdisjoint(counts):
        return None
    room = dict(shares(counts, pinned, weights))
    for owner in pinned.keys() & weights.keys():
        room[owner] -= pinned[owner]
    kept: list[Owner | None] = []
    for owner, is_busy in zip(owners, busy, strict=True):
        stays = owner in weights if is_busy else room.get(owner, 0) > 0
        kept.append(owner if stays else None)
        if stays and not is_busy:
            room[owner] -= 1
    layout, last, roomy = list[Owner](), next(iter(weights)), list(weights)
    for each in kept:
        if each is not None:
            last = each
        else:
            # Prolong the run where there is room: fewer runs are fewer steps.
            if not layout or room[last] <= 0:
                roomy = [id for id in roomy if room[id] > 0]
                last = max(roomy, key=lambda id: (room[id], weights[id]))
            room[last] -= 1
        layout.append(last)
    return layout


def rebalanced(owners: Sequence[Owner], busy: Sequence[bool], counts: Mapping[Owner, int]) -> list[Owner]:
    """Return what the kernel makes of a group whose members are to have these `counts`: it hands the buckets that are
    not busy on, in the order of their index, from members with too many to the first of `counts` that has too few
    (nh_res_table_upkeep in net/ipv4/nexthop.c)."""
    have, layout = Counter(owners), list(owners)
    lacking = [owner for owner, count in counts.items() for _ in range(count - have[owner])][::-1]
    giving = {owner: count - counts.get(owner, 0) for owner, count in have.items()}
    for index, owner in enumerate(owners):
        if not lacking:
            break
        if giving[owner] > 0 and not busy[index]:
            giving[owner] -= 1
            layout[index] = lacking.pop()
    return layout


def surplus(counts: Counter[Owner], weights: Mapping[Owner, int]) -> int:
    """Return how many buckets lead to members that have more than their weight wants, or to none of them, of which
    each has so many: 0 of a layout that `lay_out` leaves as it is, whichever buckets are busy."""
    wanted = shares(counts, Counter(), weights)
    return sum(max(0, count - wanted[id]) for id, count in counts.items())


def made(buckets: int, members: Sequence[Member]) -> list[tuple[int, int]]:
    """Return the layout of a group that is made with these members: a run each, in the reverse of their order. The
    kernel rounds the sum of weights up to a member (nh_res_group_rebalance in net/ipv4/nexthop.c)."""
    return [(members[index].id, length) for index, length in _made(buckets, tuple([each.weight for each in members]))]


@lru_cache(256)
def _made(buckets: int, weights: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    total = sum(weights)
    runs: list[tuple[int, int]] = []
    begin = 0
    for index, weight in enumerate(accumulate(weights)):
        end = (buckets * weight + total // 2) // total
        if end > begin:
            runs.append((index, end - begin))
        begin = end
    return (*reversed(runs),)
