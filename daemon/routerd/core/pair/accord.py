"""One group of a pair: how it is here, what was told of it, and whether the two agree."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from routerd.core.fib.model import NEVER
from routerd.core.message import Member
from routerd.core.pair.layouts import Held
from routerd.core.route import Address

EQUAL, DIFFERS, OTHER_NODES, ONLY_HERE, ONLY_THERE, OTHER_SIZE, NOT_TOLD = (
    "equal", "differs", "other nodes", "only here", "only there", "other size", "not told",
)  # fmt: skip


class Agreement(NamedTuple):
    """A group as the two routers have it, seen from here; `id` is 0 if only the partner has it.

    `differing` buckets lead elsewhere at the partner, `conflicts` of these are busy on both, and `off` are not where
    the weights want them, as flows hold them. `state` is one of the words above.
    """

    key: str
    id: int
    buckets: int
    differing: int
    conflicts: int
    off: int
    state: str


class Accord:
    """A group of this router.

    `held` is how its buckets were read last, None if they were not, at the time `read`: NEVER once the group has
    changed since. `told` is what the partner knows of that, and `heard` is when it said last how they were there at
    that moment. `again` is the earliest time of another attempt to move buckets, after one that did not do all;
    `arranged` is what one that is on its way is to lead to. `answers` is the number of an Ask that waits for a
    reading, or 0. `nexthops` are the objects that it was read to use, and `members` those that it was seen to have,
    with their weights.
    """

    __slots__ = (
        "_coming", "again", "answers", "arranged", "heard", "held", "id", "key", "members", "nexthops", "read",
        "told",
    )  # fmt: skip

    def __init__(self, id: int, key: str) -> None:
        self.id = id
        self.key = key
        self.held: Held | None = None
        self.read = NEVER
        self.heard = NEVER
        self.told: Held | None = None
        self.nexthops = frozenset[int]()
        self.members: tuple[Member, ...] = ()
        self.again = 0.0
        self.arranged: tuple[Address, ...] | None = None
        self.answers = 0
        self._coming: dict[Address, float] = {}
        """Legs that the partner has lost, and until when its flows to them may come without having been seen here."""

    def expect(self, legs: Iterable[Address], until: float) -> None:
        """The partner has lost these legs: whoever moves traffic to this router for that moves their flows, which
        have yet to show themselves."""
        self._coming |= dict.fromkeys(legs, until)
        if self.held is not None:
            self.held = self.held.used_by(self._coming)

    def coming(self, legs: Collection[Address], now: float) -> frozenset[Address]:
        """Return those of a group's legs whose flows may be in any of their buckets. Who has lost a leg as well
        expects none."""
        self._coming = {leg: until for leg, until in self._coming.items() if until > now and leg in legs}
        return frozenset(self._coming)

    def is_news(self, held: Held, *, busy: bool) -> bool:
        """Tell whether the partner does not know of this; which buckets are `busy` may not matter."""
        told = self.told
        return (
            told is None
            or told.owners != held.owners
            or told.legs != held.legs
            or (told.settled, told.drained) != (held.settled, held.drained)
            or (busy and told.busy != held.busy)
        )

    def is_concerned(self, before: Held | None, there: Held) -> bool:
        """Tell whether what the partner says, and what it said before, may be a reason to move buckets. Which of them
        are busy there alone is looked at now and then."""
        if before is not None and before._replace(busy=0) == there._replace(busy=0):
            return False
        if self.held is None or self.held.owners != there.owners:
            return True
        return there.drained != (frozenset() if before is None else before.drained) or (
            before is not None and (before.settled, before.legs) != (there.settled, there.legs)
        )


def state_of(accord: Accord | None, partner: Held | None, *, complete: bool) -> str:
    """Return how a group stands, given what the partner has told of it, if anything, and whether it has told all."""
    if accord is None:
        return ONLY_THERE
    if partner is None or accord.held is None:
        return ONLY_HERE if complete and accord.held is not None else NOT_TOLD
    held = accord.held
    if len(partner.owners) != len(held.owners):
        return OTHER_SIZE
    if partner.owners != held.owners:
        return DIFFERS if partner.legs == held.legs else OTHER_NODES
    # A leg that only the router has that follows gets no bucket on either: that is to be seen.
    return OTHER_NODES if (partner.legs ^ held.legs) - held.drained - partner.drained else EQUAL
