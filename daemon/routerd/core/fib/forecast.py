"""What would become of the groups if prefixes wanted something else, or groups were made otherwise. Changes nothing.

A group whose prefixes all want the same changes in place. Those that want something else than the others leave it for
groups that are laid out like it: for the buckets both come to the same, and those of members that stay do not move.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping
from enum import Enum
from typing import NamedTuple, TypeVar

from routerd.core.fib.fib import Fib
from routerd.core.fib.model import Group, Legs, Shape
from routerd.core.fib.settling import Why
from routerd.core.route import Prefix
from routerd.core.wanted import Wanted

T = TypeVar("T")
Slices = Generator[None, None, T]
SLICE = 256
"""Prefixes that are looked at before somebody else may have a turn."""


class Unseen(Enum):
    """Why the buckets of a group do not tell which flows a change moves; the value is a line for people."""

    HASHED = "a hash-threshold group has no buckets: a change of its members moves flows between them"
    ALONE = "flows to one node alone leave no trace in the buckets"


class Part(NamedTuple):
    """Prefixes that share a group now, and what they would lead to: `after` is empty if they lose their routes.

    `afresh` tells that no bucket is taken over. `unseen` is why buckets tell nothing of flows that would move.
    """

    group: int
    prefixes: int
    before: Legs
    after: Legs
    afresh: bool
    unseen: Unseen | None

    @property
    def gone(self) -> bool:
        """Whether flows lose the node that they go to."""
        return bool(self.before) and (self.afresh or not self.before.keys() <= self.after.keys())


def foresee(fib: Fib, shape: Shape, wants: Mapping[Prefix, Wanted]) -> Slices[list[Part]]:
    """Return what becomes of the groups whose members or weights would be others, or that would be made anew."""
    parted: dict[Group, Counter[Wanted]] = {}
    for number, (prefix, wanted) in enumerate(wants.items()):
        if number % SLICE == 0:
            yield
        group = fib.routes.get(prefix)
        if group is not None:
            parted.setdefault(group, Counter())[wanted] += 1
    found: list[Part] = []
    for group in list(fib.groups):
        yield
        others = parted.get(group, Counter[Wanted]())
        if not shape.fits(group.buckets) and (rest := group.users - others.total()) > 0:
            others[group.wanted] += rest  # of another type: all leave it
        found += _parts(fib, shape, group, others)
    return found


def _parts(fib: Fib, shape: Shape, group: Group, others: Counter[Wanted]) -> list[Part]:
    fits = shape.fits(group.buckets)
    # In place where all want the same; each other part needs as many buckets again.
    extra = len([wanted for wanted in others if wanted.members]) - (others.total() == group.users)
    affords = extra <= 0 or shape.affords(fib.groups.buckets + extra * group.buckets)
    parts: list[Part] = []
    for wanted, prefixes in others.items():
        after = fib.groups.legs_for(group, wanted, shape)
        stays = affords or wanted.is_like(group.wanted)
        afresh = not fits or not stays or group.legs.keys().isdisjoint(after)
        if after != group.legs or afresh:
            part = Part(group.id, prefixes, dict(group.legs), after, afresh, None)
            parts.append(part._replace(unseen=_unseen(fib, group, part)))
    return parts


def _unseen(fib: Fib, group: Group, part: Part) -> Unseen | None:
    if not group.buckets:
        return Unseen.HASHED if group.legs else None
    settling = fib.groups.settling.get(group)
    if settling is not None and settling.why is Why.ALONE:
        holders = settling.holders & group.legs.keys()
    else:
        holders = frozenset(group.legs if group.untracked else ())
    return Unseen.ALONE if holders and (part.afresh or not holders <= part.after.keys()) else None
