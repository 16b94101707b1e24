"""What each router wants of a group's buckets, given where they lead and are busy, here and there: pure functions.

A bucket that carries flows keeps its owner on the router that carries them. So whatever the two want, and however old
what they know of each other is, no flow moves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from routerd.core.fib.model import Legs
from routerd.core.layout import lay_out, made, surplus
from routerd.core.message import Hello, Member
from routerd.core.pair.layouts import Held
from routerd.core.route import Address

ALIKE = 2.0
"""Seconds by which the groups of one router must be older than those of the other for that to count."""

Owners = tuple[Address, ...]
Weights = Mapping[Address, int]


def leads(mine: Hello, partner: Hello) -> bool:
    """Tell whether this router decides: its groups are older, or as old, and its name is the lower one."""
    if abs(mine.age - partner.age) > ALIKE:
        return mine.age > partner.age
    return mine.router < partner.router


def weights_of(legs: Legs, there: Held | None = None) -> dict[Address, int]:
    """Return by address what part of the buckets each leg is to have: none, if it is drained, be it on the partner
    alone, as long as others are left."""
    heaviest = max(legs.values(), default=0)
    weights = {leg.address: int(weight == heaviest) for leg, weight in legs.items()}
    left = {} if there is None else {**weights, **dict.fromkeys(weights.keys() & there.drained, 0)}
    return left if any(left.values()) else weights


def lead(here: Held, there: Held | None, weights: Weights) -> Owners:
    """Return what the leader wants: what is busy stays, also what is busy at the partner alone, where that has it; of
    the rest as much as the weights allow."""
    order = sorted(weights)
    numbers = {address: number for number, address in enumerate(order, 1)}
    buckets = [(numbers.get(owner, 0), busy) for owner, busy in zip(here.owners, here.bits(), strict=True)]
    if there is not None:
        for index, owner in _busy_there(here, there, weights):
            buckets[index] = numbers[owner], True
    layout = lay_out(buckets, [Member(number, weights[address]) for address, number in numbers.items()])
    return here.owners if layout is None else tuple(order[number - 1] for number in layout)


def keep(here: Held, there: Held | None, legs: Collection[Address]) -> Owners:
    """Return what a leader wants that does not know of all flows: nothing moves, but for what is busy at the partner
    alone."""
    moved = dict(_busy_there(here, there, legs)) if there is not None else {}
    return tuple(moved.get(index, owner) for index, owner in enumerate(here.owners))


def _busy_there(here: Held, there: Held, legs: Collection[Address]) -> Iterator[tuple[int, Address]]:
    """Yield the buckets that are busy at the partner alone, and the leg that they lead to there."""
    both = enumerate(zip(here.owners, there.owners, here.bits(), there.bits(), strict=True))
    for index, (mine, theirs, busy, elsewhere) in both:
        if elsewhere and not busy and theirs in legs and _is_known(mine, there, legs):
            yield index, theirs


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
    return tuple(
        mine if busy or theirs not in legs or not _is_known(mine, there, legs) else theirs
        for mine, theirs, busy in zip(here.owners, there.owners, here.bits(), strict=True)
    )


class Gap(NamedTuple):
    """How many buckets lead elsewhere at the partner (`differing`), are busy on both besides (`conflicts`), and might
    be the same once they are idle (`passing`)."""

    differing: int
    conflicts: int
    passing: int


def gap(here: Held, there: Held, legs: Collection[Address]) -> Gap:
    """Compare two layouts of as many buckets."""
    if here.owners == there.owners:
        return Gap(0, 0, 0)
    differing = [
        index for index, pair in enumerate(zip(here.owners, there.owners, strict=True)) if pair[0] != pair[1]
    ]
    both = here.busy & there.busy
    conflicts = sum(both >> index & 1 for index in differing)
    passing = (there.owners[index] in legs and _is_known(here.owners[index], there, legs) for index in differing)
    return Gap(len(differing), conflicts, sum(passing))


def off(owners: Owners, weights: Weights) -> int:
    """Return how many buckets are not where the weights want them."""
    order = {address: number for number, address in enumerate(sorted(weights), 1)}
    return surplus(
        [order.get(owner, 0) for owner in owners], {order[address]: weight for address, weight in weights.items()}
    )
