"""Hands buckets that no flow uses to other members of their group, in place: no route is told, and no flow breaks.

The kernel hands idle buckets over in the order of their index, from a member that has more than its weight to those
that have less. So that the right ones go, those before them that are to stay go to a stand-in meanwhile, which leads
where the member leads. A flow that begins meanwhile thus comes to the node that has its bucket before, or to the one
that has it from then on, and none goes wrong: the kernel moves no bucket in use. But then it moves the next idle one
in its place; what went to the wrong member for that is handed over again.

Where it does not matter which idle buckets go, as the members that give some have no flow, weights do it all.
"""

from __future__ import annotations

import errno
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import islice
from operator import ne

from routerd.core.message import Arrange, KernelGroup, Member, SetGroup, WriteFailed
from routerd.kernel import lookup
from routerd.kernel.buckets import Buckets
from routerd.kernel.layout import held, settled, steps
from routerd.kernel.memory import runs_of
from routerd.kernel.owned import OwnedObjects, not_ours
from routerd.kernel.stand_in import StandIns

SLICE = 0.01
"""Seconds at a stretch: a layout of a thousand runs takes a tenth of a second, and failover must not wait for it."""
_WORK = 32 * 1024
"""Buckets that the kernel looks at, in as many steps, between two looks at what has come of it: some milliseconds. If
flows begin meanwhile what comes behind them is one off: the next time there are half as many steps."""
_TRIES = 3
"""Looks after which nothing is better, and no more is tried: what is in the way is for another time."""


class Arranging:
    """Reads and writes the layout of groups. `widest` is the largest weight of a member. `unfinished` is the group of
    the last operation if there is more to be handed over: it is to be carried out once more."""

    def __init__(self, stand_ins: StandIns, objects: OwnedObjects, widest: int) -> None:
        self._stand_ins = stand_ins
        self._objects = objects
        self._widest = widest
        self.unfinished = 0
        self._moves: Moves | None = None
        """What is known of that group."""

    def arrange(self, operation: Arrange) -> list[WriteFailed]:
        """Carry out an operation, as far as buckets are idle and are to lead to a member still; nothing for a group
        that is gone."""
        self.unfinished = 0
        if operation.id not in self._objects:
            return []
        wanted = [id for id, length in operation.layout for _ in range(length)]
        try:
            there = lookup.nexthop(operation.id)
            if isinstance(there, KernelGroup) and there.buckets:
                self._arrange(there, wanted, by_weight=operation.by_weight)
        except InterruptedError as error:
            return [WriteFailed(operation, errno.EINTR, str(error))]
        except OSError as error:
            gone = error.errno == errno.ENOENT
            return [] if gone else [WriteFailed(operation, error.errno or 0, error.strerror or "")]
        return []

    def _arrange(self, there: KernelGroup, wanted: list[int], *, by_weight: bool) -> None:
        if len(wanted) != there.buckets:
            raise OSError(errno.EINVAL, f"the group has {there.buckets} buckets, not {len(wanted)}")
        if foreign := [member.id for member in there.members if member.id not in self._objects.gateways]:
            raise OSError(errno.EINVAL, not_ours(foreign[0]))
        if by_weight and not self._objects.buckets.took_over(there.id):
            self._weigh(there, wanted)
            return
        moves, end = self._begin(there, wanted), time.monotonic() + SLICE
        first = least = moves.left
        tries = _TRIES
        while moves.left and tries:
            if time.monotonic() >= end and moves.left < first:
                self.unfinished, self._moves = there.id, moves
                break
            for counts in moves.counts:  # with a stand-in that has none
                self._exact({0: 0} | {member.id: counts[member.id] for member in there.members})
            self._hand_over(there, moves)
            better = moves.left < least or moves.passed
            least, tries = min(least, moves.left), _TRIES if better else tries - 1
        if first:
            self._rest(there, Counter(moves.owners))
            self._objects.memory.note({there.id: runs_of(moves.owners)})

    def _weigh(self, there: KernelGroup, wanted: list[int]) -> None:
        """Let the kernel pick the buckets. Of those that are to have more the last one listed gets the first."""
        counts, gateways = Counter(wanted), self._objects.gateways
        listed = sorted(there.members, key=lambda member: gateways[member.id], reverse=True)
        began = time.monotonic()
        self._rest(there, counts, self._exact({member.id: counts[member.id] for member in listed}))
        self._objects.buckets.written(there.id, began)

    def _begin(self, there: KernelGroup, wanted: list[int]) -> Moves:
        """Look at the buckets; if an operation goes on, with what is known."""
        known, self._moves = self._moves, None
        if known is None or known.there.id != there.id or known.wanted != wanted:
            return Moves(there, wanted, self._objects.buckets)
        known.there = there  # whose members may be others by now
        known.read()
        return known

    def _hand_over(self, there: KernelGroup, moves: Moves) -> None:
        """Have one member give some of those of its idle buckets that are to lead elsewhere."""
        giver, aimed = moves.next()
        gateway = self._objects.gateways.get(giver)
        stand_in = None if gateway is None else self._stand_ins.make(gateway)
        if stand_in is None:
            raise OSError(errno.ENOENT, "the member is gone")
        others = Counter(owner for owner in moves.owners if owner != giver)
        rest = moves.owners.count(giver) - len(aimed)
        began = time.monotonic()
        layout = [stand_in if goal == giver else goal for goal in aimed.values()]
        try:
            some = [
                {giver: rest} | {member.id: member.weight + rest * (member.id == giver) for member in step}
                for step in islice(steps(layout, giver, others), moves.steps)
            ]
            self._replace(there, *map(self._exact, some))
            found = lookup.owners(there.id)
            begun = self._take_back(there, stand_in, giver, found)
        finally:
            self._stand_ins.dismiss(stand_in, _group(there))
        moved = [index for index, (was, now) in enumerate(zip(moves.owners, found, strict=True)) if now != was]
        self._objects.buckets.handed(there.id, began, moved, begun)
        tried = sum(some[-1].values()) - some[-1][giver] - others.total()
        moves.tried(list(aimed)[:tried], moved)

    def _take_back(self, there: KernelGroup, stand_in: int, giver: int, found: list[int]) -> list[int]:
        """Give a member back what its stand-in has: first what is idle, and then the buckets in which flows have
        begun, which are returned."""
        counts = Counter(found)
        stood_in = counts.pop(stand_in, 0)
        counts[giver] += stood_in
        if stood_in:
            self._replace(there, self._exact({**counts, stand_in: 0}))
        begun = (
            [index for index, owner in enumerate(lookup.owners(there.id)) if owner == stand_in] if stood_in else []
        )
        self._replace(there, self._exact(counts))
        return begun

    def _rest(self, there: KernelGroup, counts: Counter[int], *before: Sequence[Member]) -> None:
        """Let a group have weights with which nothing moves, after these steps: a function of how many buckets each
        member has and is to have alone, so that two groups which are alike lose a member alike."""
        wanted = {member.id: member for member in self._objects.weights.get(there.id, ())}
        gateways = self._objects.gateways
        members = sorted((wanted.get(m.id, m) for m in there.members), key=lambda member: gateways[member.id])
        every = settled(counts, members) or held(counts, members, self._widest)
        self._replace(there, *before, every)
        self._objects.memory.written(there.id, every, held=True)

    def _exact(self, counts: Mapping[int, int]) -> list[Member]:
        """Return members that want these numbers of buckets, in this order; OSError if no weights can say that.

        Those that want none come first: they have weight 1, and the others so much that these together round to none
        (`layout.made`)."""
        none = [Member(id) for id, count in counts.items() if not count]
        scale = 2 * len(none) + 1
        if scale * max(counts.values()) > self._widest:
            raise OSError(errno.EOPNOTSUPP, "too many buckets for weights before Linux 6.12")
        return none + [Member(id, scale * count) for id, count in counts.items() if count]

    def _replace(self, there: KernelGroup, *steps: Sequence[Member]) -> None:
        """Go these steps. OSError if one is refused."""
        if refused := self._stand_ins.replace(_group(there), *steps):
            raise OSError(*next(iter(refused.values())))


class Moves:
    """Which buckets of a group are to lead elsewhere, as far as no flow uses them: `left` is how many. `owners` has
    who has each now, `counts` how many each member has, now and then. `steps` is how many to go at a time, and
    `passed` how many buckets turned out to be in use the last time."""

    def __init__(self, there: KernelGroup, wanted: Sequence[int], buckets: Buckets) -> None:
        self.there = there
        self.wanted = wanted
        self._most_steps = max(1, _WORK // there.buckets)
        self.steps = self._most_steps
        self.passed = 0
        self._buckets = buckets
        self._in_use = set[int]()
        self.read()

    def tried(self, tried: Iterable[int], moved: Collection[int]) -> None:
        """The kernel has looked at the buckets that were `tried`, up to the last that it has `moved`, and what it has
        passed over is in use."""
        end = max(moved, default=self.there.buckets)
        passed = {index for index in set(tried).difference(moved) if index < end}
        self.passed = len(passed)
        self.steps = max(1, self.steps // 2) if passed else min(self._most_steps, 2 * self.steps)
        self._in_use |= passed
        self.read()

    def read(self) -> None:
        """Read how things stand. OSError if the group is gone."""
        members = {member.id for member in self.there.members}
        self.owners, idle = lookup.reading(self.there.id)
        taken = self._buckets.recent(idle, self.there.id, self.there.idle_timer) | self._in_use
        self._idle = [index for index in range(len(idle)) if index not in taken]
        used = self._buckets.used(idle, self.there.id, self.there.idle_timer)
        self._goals = self.owners.copy()
        for index in self._idle:
            if index not in used and self.wanted[index] in members:
                self._goals[index] = self.wanted[index]
        self.left = sum(map(ne, self.owners, self._goals))
        self.counts = (Counter(self.owners), Counter(self._goals))

    def next(self) -> tuple[int, dict[int, int]]:
        """Return a member that is to give some of its buckets, and whom its idle ones are to lead to, up to the last
        that does not stay."""
        pairs = zip(self.owners, self._goals, strict=True)
        giver = next(owner for owner, goal in pairs if owner != goal)
        idle = [index for index in self._idle if self.owners[index] == giver]
        last = max(index for index in idle if self._goals[index] != giver)
        return giver, {index: self._goals[index] for index in idle if index <= last}


def _group(there: KernelGroup) -> SetGroup:
    return SetGroup(there.id, (), there.buckets, there.idle_timer, there.unbalanced_timer)
