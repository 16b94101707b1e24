"""What each router wants of a group's buckets, given where they lead and are busy, here and there: pure functions.

A bucket that carries flows keeps its owner on the router that carries them. So whatever the two want, and however old
what they know of each other is, no flow moves.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from itertools import compress, count
from operator import ne
from typing import NamedTuple

from routerd.core.layout import laid, made, rebalanced, shares, surplus
from routerd.core.message import Gateway, Hello, Member
from routerd.core.pair.layouts import Held, indices
from routerd.core.route import Address

SLACK = 256
"""Of so many buckets one may be with another member than the weights want: it is not worth a move."""
ALIKE = 2.0
"""Seconds by which the groups of one router must be older than those of the other for that to count."""

Owners = tuple[Address, ...]
Weights = Mapping[Address, int]


def leads(mine: Hello, partner: Hello) -> bool:
    """Tell whether this router decides: its groups are older, or as old, and its name is the lower one."""
    if abs(mine.age - partner.age) > ALIKE:
        return mine.age > partner.age
    return mine.router < partner.router


def weights_of(shares: Mapping[Gateway, int], there: Held | None = None) -> dict[Address, int]:
    """Return by address what part of the buckets each leg is to have, given the shares that it is to get of the flows
    here: none, if it is drained, be it on the partner alone, as long as others are left."""
    weights = {leg.address: share for leg, share in shares.items()}
    left = {} if there is None else {**weights, **dict.fromkeys(weights.keys() & there.drained, 0)}
    return left if any(left.values()) else weights


def lead(here: Held, there: Held | None, weights: Weights) -> Owners:
    """Return what the leader wants: what is busy stays, also what is busy at the partner alone, where that has it; of
    the rest as much as the weights allow."""
    taken = dict(_busy_there(here, there, weights)) if there is not None else {}
    if all(here.owners[index] == owner for index, owner in taken.items()) and not is_off(here.owners, weights):
        return here.owners
    owners, busy = list(here.owners), here.bits()
    for index, owner in taken.items():
        owners[index], busy[index] = owner, True
    wanted = {address: weights[address] for address in sorted(weights)}
    pinned = Counter(compress(owners, busy))
    counts = shares(_counts(tuple(owners)), pinned, wanted)
    if any(number > counts[owner] for owner, number in pinned.items()):
        layout = laid(owners, busy, wanted)
        if layout is None:
            return here.owners
        counts = Counter(layout)
    return tuple(rebalanced(owners, busy, _sorted(counts)))


def by_weight(here: Held, there: Held | None, wanted: Owners) -> bool:
    """Tell whether the kernel picks just the buckets that are to lead elsewhere once it has the weights, and may: the
    members that give some have no flow, here or there."""
    counts, had = _sorted(_counts(wanted)), _counts(here.owners)
    giving = {owner for owner, count in had.items() if count > counts[owner]}
    busy = here.busy | (0 if there is None else there.busy)
    if any(here.owners[index] in giving for index in indices(busy)):
        return False
    return tuple(rebalanced(here.owners, here.bits(), counts)) == wanted


@lru_cache(maxsize=8)
def _counts(owners: Owners) -> Counter[Address]:
    """Return how many buckets each member has. Of one layout that is asked several times, one after the other."""
    return Counter(owners)


def _sorted(counts: Counter[Address]) -> Counter[Address]:
    """Return the same, in the order of addresses."""
    return Counter(dict(sorted(counts.items())))


def _busy_there(here: Held, there: Held, legs: Collection[Address]) -> Iterator[tuple[int, Address]]:
    """Yield the buckets that are busy at the partner alone, and the leg that they lead to there."""
    for index in indices(there.busy & ~here.busy):
        if there.owners[index] in legs and _is_known(here.owners[index], there, legs):
            yield index, there.owners[index]


def _is_known(mine: Address, there: Held, legs: Collection[Address]) -> bool:
    """Tell whether the partner may judge of a bucket: its group has the leg that has it here. One that has lost legs,
    as when its link is down, has given their buckets to others, and this router will have the flows."""
    return mine in there.legs or mine not in legs


def anew(size: int, weights: Weights) -> Owners:
    """Return how a group of these legs is laid out when it is made: on both routers alike, without a word."""
    order = sorted(address for address in weights if weights[address])
    runs = made(size, [Member(number, weights[address]) for number, address in enumerate(order)])
    return tuple(order[number] for number, length in runs for _ in range(length))


def follow(here: Held, there: Held, legs: Collection[Address]) -> Owners:
    """Return what the follower wants: the leader's owners, but for what is busy here, or with a leg that the leader
    has not."""
    owners = list(here.owners)
    for index in _differing(here, there):
        mine, theirs = here.owners[index], there.owners[index]
        if theirs in legs and not here.busy >> index & 1 and _is_known(mine, there, legs):
            owners[index] = theirs
    return tuple(owners)


def _differing(here: Held, there: Held) -> Iterator[int]:
    """Return the buckets that lead elsewhere at the partner."""
    if here.owners == there.owners:
        return iter(())
    return compress(count(), map(ne, here.owners, there.owners))


class Gap(NamedTuple):
    """How many buckets lead elsewhere at the partner (`differing`), and are busy on both besides (`conflicts`)."""

    differing: int
    conflicts: int


def gap(here: Held, there: Held) -> Gap:
    """Compare two layouts of as many buckets."""
    differing, both = list(_differing(here, there)), here.busy & there.busy
    return Gap(len(differing), sum(both >> index & 1 for index in differing))


def is_passing(here: Held, there: Held, legs: Collection[Address]) -> bool:
    """Tell whether two layouts of as many buckets differ in one that might be the same once it is idle."""
    return any(
        there.owners[index] in legs and _is_known(here.owners[index], there, legs)
        for index in _differing(here, there)
    )


def off(owners: Owners, weights: Weights) -> int:
    """Return how many buckets are not where the weights want them."""
    return surplus(_counts(owners), {address: weights[address] for address in sorted(weights)})


def is_off(owners: Owners, weights: Weights) -> bool:
    """Tell whether buckets are to be moved as the weights want it, once they are idle."""
    drained = not all(weights.values()) and any(not weights.get(owner, 1) for owner in _counts(owners))
    return drained or off(owners, weights) > len(owners) // SLACK
