"""Which member each bucket of a group is to lead to, given where they lead now, and which of them carry flows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from routerd.core.message import Member


def shares(buckets: Sequence[tuple[int, bool]], weights: Mapping[int, int]) -> Counter[int]:
    """Return how many buckets each member is to have, where `buckets` are the member of each and whether it is busy.

    What is left when all shares are rounded down goes to the heaviest, and among those to who cannot give it up, or
    has more: a layout that is as the weights want it stays so.
    """
    total = sum(weights.values())
    room = Counter({id: len(buckets) * weight // total for id, weight in weights.items()})
    counts = Counter(owner for owner, _ in buckets)
    pinned = Counter(owner for owner, busy in buckets if busy)
    over = sorted(weights, key=lambda id: (-weights[id], pinned[id] <= room[id], room[id] - counts[id]))
    room.update(over[: len(buckets) - room.total()])
    return room


def lay_out(buckets: Sequence[tuple[int, bool]], members: Sequence[Member]) -> list[int] | None:
    """Return the member of every bucket of a group that continues `buckets`; None if no member is left there.

    `buckets` are the nexthop id of each and whether it carries flows. Those that do keep their member, if that is
    still one. So do the others, up to the member's weight: a flow may begin in them in the old group, and find its
    way to the new one later. What is left goes where the weights want it. What this returns it leaves as it is.
    """
    weights = {member.id: member.weight for member in members}
    if weights.keys().isdisjoint(owner for owner, _ in buckets):
        return None
    room = shares(buckets, weights)
    kept = {index: owner for index, (owner, busy) in enumerate(buckets) if busy and owner in weights}
    room.subtract(kept.values())
    for index, (owner, busy) in enumerate(buckets):
        if not busy and room[owner] > 0:
            kept[index] = owner
            room[owner] -= 1
    layout: list[int] = []
    for index in range(len(buckets)):
        if index not in kept:
            # Prolong the run where there is room: fewer runs are fewer steps.
            last = layout[-1] if layout else 0
            kept[index] = last if room[last] > 0 else max(weights, key=lambda id: (room[id], weights[id]))
            room[kept[index]] -= 1
        layout.append(kept[index])
    return layout


def surplus(owners: Sequence[int], weights: Mapping[int, int]) -> int:
    """Return how many buckets lead to members that have more than their weight wants, or to none of them."""
    wanted = shares([(owner, False) for owner in owners], weights)
    return sum(max(0, count - wanted[id]) for id, count in Counter(owners).items())


def made(buckets: int, members: Sequence[Member]) -> list[tuple[int, int]]:
    """Return the layout of a group that is made with these members: a run each, in the reverse of their order. The
    kernel rounds the sum of weights up to a member (nh_res_group_rebalance in net/ipv4/nexthop.c)."""
    total = sum(member.weight for member in members)
    runs: list[tuple[int, int]] = []
    begin = weight = 0
    for member in members:
        weight += member.weight
        end = (buckets * weight + total // 2) // total
        if end > begin:
            runs.append((member.id, end - begin))
        begin = end
    return runs[::-1]
