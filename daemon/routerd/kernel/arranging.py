"""Hands buckets that no flow uses to other members of their group, in place: no route is told, and no flow breaks.

The kernel hands idle buckets over in the order of their index, from a member that has more than its weight to those
that have less. So that the right ones go, a stand-in takes all idle ones of the member that is to give some, as only
the kernel knows them at that moment, and hands them on, run by run, those that stay back to the member itself. The
stand-in leads where the member leads: a flow that begins meanwhile comes to the node that had its bucket before, or
to the one that has it from then on, and none goes wrong. It stays there, for the kernel moves no bucket in use; the
next idle one is handed on in its place. What went to the wrong one for that is handed over in another pass.
"""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Container, Mapping, Sequence

from routerd.core.message import Arrange, KernelGroup, Member, SetGroup, WriteFailed
from routerd.kernel import lookup
from routerd.kernel.layout import held, settled, steps
from routerd.kernel.memory import runs_of
from routerd.kernel.owned import OwnedObjects
from routerd.kernel.stand_in import StandIns

PASSES = 3
_EXACT = 3
"""With weights of so many times the buckets that each is to have, one with weight 1 wants none (`layout.made`)."""


class Arranging:
    """Reads and writes the layout of groups. `widest` is the largest weight of a member."""

    def __init__(self, stand_ins: StandIns, objects: OwnedObjects, widest: int) -> None:
        self._stand_ins = stand_ins
        self._objects = objects
        self._widest = widest

    def arrange(self, operation: Arrange) -> list[WriteFailed]:
        """Carry out an operation, as far as buckets are idle and lead to a member still; nothing for a group that is
        gone."""
        if operation.id not in self._objects:
            return []
        try:
            there, found = lookup.nexthop(operation.id), lookup.buckets(operation.id)
        except OSError:
            return []
        if not isinstance(there, KernelGroup):
            return []
        wanted = [id for id, length in operation.layout for _ in range(length)]
        if len(wanted) != len(found):
            return [WriteFailed(operation, errno.EINVAL, f"the group has {len(found)} buckets, not {len(wanted)}")]
        owners = [owner for _, owner, _ in found]
        members = {member.id for member in there.members}
        goals = [want if want in members else owner for want, owner in zip(wanted, owners, strict=True)]
        busy = {index for index, _, _ in self._objects.buckets.used(found, there.id, there.idle_timer)}
        if not _givers(owners, goals, busy):
            return []
        if _EXACT * max(Counter(owners).values()) > self._widest:
            return [WriteFailed(operation, errno.EOPNOTSUPP, "too many buckets for the kernel's weights")]
        try:
            for _ in range(PASSES):
                for giver in (givers := _givers(owners, goals, busy)):
                    owners = self._hand_over(there, giver, owners, goals, busy)
                if not givers:
                    break
            self._rest(there, owners)
        except InterruptedError as error:
            return [WriteFailed(operation, errno.EINTR, str(error))]
        except OSError as error:  # the group has gone meanwhile, or a member
            gone = error.errno in (None, errno.ENOENT)
            return [] if gone else [WriteFailed(operation, error.errno or 0, error.strerror or "")]
        return []

    def _hand_over(
        self, there: KernelGroup, giver: int, owners: list[int], goals: list[int], busy: set[int]
    ) -> list[int]:
        """Have one member give those of its idle buckets that are to lead elsewhere. Return who has which then; those
        that turn out to be in use are `busy` from then on."""
        gateway = self._objects.gateways.get(giver)
        stand_in = None if gateway is None else self._stand_ins.make(gateway)
        if stand_in is None:
            raise OSError(errno.ENOENT, "the member is gone")
        began, counts = time.monotonic(), Counter(owners)
        try:
            self._replace(there, _exact({**counts, giver: 0, stand_in: counts[giver]}))
            found = lookup.owners(there.id)
            busy.update(index for index, owner in enumerate(found) if owner == giver)
            taken = [index for index, owner in enumerate(found) if owner == stand_in]
            layout = [giver if index in busy else goals[index] for index in taken]
            others = Counter(owner for owner in found if owner != stand_in)
            each = (
                _exact({stand_in: 0} | {member.id: member.weight for member in step})
                for step in steps(layout, stand_in, others)
            )
            self._replace(there, *each)
            found = lookup.owners(there.id)
            begun = [index for index, owner in enumerate(found) if owner == stand_in]
            busy.update(begun)
            owners = [giver if owner == stand_in else owner for owner in found]
            self._replace(there, _exact(Counter(owners)))
        finally:
            self._stand_ins.dismiss(stand_in, _group(there))
        self._objects.buckets.handed(there.id, began, taken, begun)
        return owners

    def _rest(self, there: KernelGroup, owners: list[int]) -> None:
        """Let a group have weights with which nothing moves: a function of its layout and the wanted weights alone,
        so that two groups which are alike lose a member alike."""
        wanted = {member.id: member for member in self._objects.weights.get(there.id, ())}
        gateways = self._objects.gateways
        members = sorted((wanted.get(m.id, m) for m in there.members), key=lambda member: gateways[member.id])
        every = settled(owners, members) or held(Counter(owners), members, self._widest)
        self._replace(there, every)
        self._objects.memory.written(there.id, every, held=True)
        self._objects.memory.note({there.id: runs_of(owners)})

    def _replace(self, there: KernelGroup, *steps: Sequence[Member]) -> None:
        """Go these steps. OSError if one is refused."""
        if refused := self._stand_ins.replace(_group(there), *steps):
            raise OSError(*next(iter(refused.values())))


def _group(there: KernelGroup) -> SetGroup:
    return SetGroup(there.id, (), there.buckets, there.idle_timer, there.unbalanced_timer)


def _givers(owners: Sequence[int], goals: Sequence[int], busy: Container[int]) -> list[int]:
    """Return who has idle buckets that are to lead elsewhere."""
    both = enumerate(zip(owners, goals, strict=True))
    return sorted({owner for index, (owner, goal) in both if owner != goal and index not in busy})


def _exact(counts: Mapping[int, int]) -> list[Member]:
    """Return members that want these numbers of buckets, in this order; those that want none come first."""
    none = [Member(id) for id, count in counts.items() if not count]
    return none + [Member(id, count * _EXACT) for id, count in counts.items() if count]
