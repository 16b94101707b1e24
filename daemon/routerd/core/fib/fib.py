"""The desired FIB, and the operations that lead there from what the kernel has.

A prefix has a group of its own, which changes in place, under its id, for as long as the prefix has a route: no route
is touched, and the kernel moves no bucket that is in use. Only prefixes that come by the hundred and want the same
share a group, and those that come when there are groups enough. Such a group changes in place once all its prefixes
want the same; those that want something else for good leave it for groups that are laid out like it.

A gateway that fails is one nexthop object less: the kernel takes it out of every group.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice

from routerd.core.fib.awaiting import Awaiting
from routerd.core.fib.groups import Groups
from routerd.core.fib.model import LONGEST, Group, Shape, in_order, runs
from routerd.core.fib.parting import AT_ONCE, Parting
from routerd.core.fib.placement import Placement
from routerd.core.fib.settling import Why
from routerd.core.message import DeleteRoutes, Gateway, Operation, SetNexthop, SetRoutes
from routerd.core.route import Prefix, forget
from routerd.core.wanted import Wanted

PART = 200
"""Prefixes that come in one UPDATE and want the same: so many are a part of a table."""


class Fib:
    """The model of the kernel's FIB as far as it is routerd's. Refused prefixes map to (errno, text)."""

    def __init__(self, shape: Shape) -> None:
        self.groups = Groups(shape)
        self._placement = Placement(self.groups)
        self.parting = Parting(self.groups, self._placement)
        self.routes, self.refused = self._placement.routes, self._placement.refused
        self._pending: dict[Prefix, Wanted] = {}
        self.awaiting = Awaiting(self.groups)
        self.has_table = False
        """Whether a part of a table is among what is wanted and not planned yet."""

    # ------------------------------------------------------------------------------------------ what is wanted

    def want(self, prefixes: Collection[Prefix], wanted: Wanted) -> None:
        """These prefixes shall lead there."""
        pending = self._pending
        for prefix in prefixes:
            pending[prefix] = wanted
        self.has_table = self.has_table or len(prefixes) > PART
        if not wanted.members:
            forget(self.refused, prefixes)

    def waits(self, prefix: Prefix) -> bool:
        """Tell whether a prefix wants something that is not planned yet."""
        group = self.routes.get(prefix)
        return prefix in self._pending or (group is not None and prefix in group.waiting)

    @property
    def behind(self) -> int:
        """How many prefixes want something that no plan has taken up yet."""
        return len(self._pending)

    @property
    def unfinished(self) -> bool:
        """Whether the last plan left a part of what was due to the next one."""
        return bool(self._pending or self.groups.changed) or self.parting.unfinished

    def has_waiting(self) -> bool:
        """Tell whether prefixes wait for the rest of their group before they leave it."""
        return bool(self.parting)

    @property
    def installed(self) -> int:
        """The number of routes that the kernel has, as far as routerd knows."""
        return sum(len(group.prefixes) for group in self.groups if group.legs)

    def expected(self) -> dict[Prefix, int]:
        """Return a copy of what the kernel's routes should be: prefix -> group id."""
        return {prefix: group.id for prefix, group in self.routes.items() if group.legs}

    def plan(self, now: float) -> list[Operation]:
        """Return the operations for what is wanted, or a part of them, and take them as done.

        Prefixes that share a group with others wait for these.
        """
        self._placement.forget_old(now)
        operations: list[Operation] = []
        deleted: list[Prefix] = []
        touched: dict[Group, None] = {}
        room, taken = AT_ONCE, 0
        for group, wanted, prefixes in runs(self._pending, self.routes):
            if group is None:
                added, some = self._placement.add(wanted, prefixes, room, now) if wanted.members else ([], prefixes)
                operations += added
                room = room - (len(added) + 1) // 2 if some is prefixes else 0
            else:
                some = prefixes
                touched[group] = None
                if not wanted.members and not group.awaiting:
                    deleted += self._placement.leave(prefixes, now)
                elif wanted == group.wanted and group.adapted:
                    forget(group.waiting, prefixes)
                else:
                    group.waiting.update(dict.fromkeys(prefixes, wanted))
                    room -= 1
            taken += len(some)
            if room <= 0 or taken >= LONGEST:
                break
        self._take_out(taken)
        self.has_table = self.has_table and bool(self._pending)
        self.awaiting.abandon(touched)
        for group in touched:
            self._agree(group)
        if not self._pending and self.awaiting.released:
            released, self.awaiting.released = self.awaiting.released, {}
            for group in released:
                deleted += self._release(group, now)
        if deleted:
            operations.append(DeleteRoutes(tuple(deleted)))
        # New nexthop objects depend on nothing: with them out of the way many groups can be made at a stretch.
        operations.sort(key=lambda operation: not isinstance(operation, SetNexthop))
        return [*operations, *self.rewrite(now)]

    def _take_out(self, count: int) -> None:
        """So many of what is wanted are planned: the first ones. A copy of the rest each time would cost more than to
        plan."""
        if count == len(self._pending):
            self._pending = {}  # an emptied one keeps its size
        for prefix in [*islice(self._pending, count)]:
            del self._pending[prefix]

    def _release(self, group: Group, now: float) -> list[Prefix]:
        """Do what prefixes of an adopted group waited for; return those that are to have no route any more."""
        withdrawn = [prefix for prefix, wanted in group.waiting.items() if not wanted.members]
        deleted = self._placement.leave(withdrawn, now)
        if not group.prefixes:
            self.groups.empty[group] = None
        self._agree(group)
        if self.groups.settling.is_over(group, now):
            self.groups.settle(group)
        return deleted

    def part(self, now: float) -> list[Operation]:
        """Let prefixes leave groups whose others want something else for good; a part of them, if they are many."""
        return [*self.parting.part(now), *self.rewrite(now)]

    def _agree(self, group: Group) -> None:
        """What prefixes of a group want has changed."""
        if group in self.awaiting:
            self.parting.forget(group)
        else:
            self.parting.agree(group)

    def reshape(self, shape: Shape, now: float) -> bool:
        """Groups are to be made otherwise from now on. Those that there are get the timers, and keep their buckets;
        if they are of another type than is wanted, their prefixes are to leave them: the caller says what it wants
        for every prefix then, if True is returned."""
        before, self.groups.shape = self.groups.shape, shape
        timers = before.timers != shape.timers
        self.groups.settling.hasten(now + shape.idle_timer)
        for group in self.groups:
            group.adapted = shape.fits(group.buckets)
            if not group.adapted:
                self.groups.unshare(group)
                continue
            if group.shared:
                self.groups.share(group)  # its type may be the wanted one again
            if timers:
                self.groups.changed[group] = True
        if before.resilient == shape.resilient:
            return False
        self._placement.forget_lost()  # of the other type, too
        return True

    def balance(self, now: float) -> None:
        """Groups whose time has come are to get the weights of their members. Of adopted ones those are not known
        before their nodes have said them: they get them then."""
        for group in self.groups.settling.due(now):
            if group not in self.awaiting:
                self.groups.settle(group)

    # ------------------------------------------------------------------------------------------ failover, drain

    def fail(self, gateways: Iterable[Gateway]) -> list[Operation]:
        """These gateways are dead: one operation each takes them out of every group, however many prefixes."""
        dead = in_order(set(gateways) - self.groups.down)
        self.groups.down.update(dead)
        awaited = [gateway for gateway in dead if gateway in self.awaiting.gateways]
        groups = [group for gateway in awaited for group in self.groups.having(gateway)]
        operations = self.groups.lose(dead)
        self.awaiting.abandon(groups)
        return operations

    def restore(self, gateways: Iterable[Gateway]) -> None:
        """These gateways are back: they are to join the groups that want them."""
        back = self.groups.down.intersection(gateways)
        self.groups.down -= back
        self._change(back)

    def forget(self, gateways: Iterable[Gateway]) -> None:
        """No node leads to these gateways any more: once no group wants them, whether they are down is past."""
        self.groups.down.difference_update([gateway for gateway in gateways if not self.groups.having(gateway)])

    def drain(self, gateways: set[Gateway]) -> None:
        """Exactly these gateways are drained from now on: they keep their flows and get no new ones."""
        changed = self.groups.draining ^ gateways
        self.groups.draining = gateways
        self._change(changed)

    def unused(self, ids: Iterable[int]) -> None:
        """These groups have carried no packet: no flow has to show itself in them."""
        for group in map(self.groups.by_id.get, ids):
            if group is not None:
                self.groups.settle(group)

    def made_afresh(self, id: int) -> None:
        """This group has taken over no flows, or has no more of them."""
        group = self.groups.by_id.get(id)
        settling = self.groups.settling.get(group) if group is not None else None
        if group is not None and settling is not None and settling.why is Why.TAKEN_OVER:
            self.groups.settling.end(group)

    def drained(self, busy: Mapping[int, Collection[int]]) -> None:
        """Drained members are to leave groups in which no bucket of theirs carries flows; `busy` has, by group, the
        nexthop objects that flows go to."""
        for id in [id for id in busy if id in self.groups.clinging]:
            group = self.groups.by_id[id]
            if self.groups.emptied(group, busy[id]):
                self.groups.changed.setdefault(group, False)

    def _change(self, gateways: set[Gateway]) -> None:
        for gateway in in_order(gateways):
            for group in self.groups.having(gateway):
                self.groups.changed.setdefault(group, False)

    def rewrite(self, now: float) -> list[Operation]:
        """Write some of the groups that have changed, and delete what nothing uses."""
        operations: list[Operation] = []
        for group in list(islice(self.groups.changed, AT_ONCE)):
            if not self.groups.is_unused(group):
                operations += self.rewritten(group, now)
        return [*operations, *self.groups.sweep()]

    def resend(self, id: int) -> list[Operation]:
        """The kernel has lost the routes of this group, and has the group."""
        group = self.groups.by_id.get(id)
        return [SetRoutes(id, tuple(group.prefixes))] if group is not None and group.legs and group.prefixes else []

    def rewritten(self, group: Group, now: float, *, damaged: bool = False) -> list[Operation]:
        """Write a group; if the kernel did not have it before it has lost its routes, and they come again."""
        was_gone = not group.legs
        operations = self.groups.write(group, now, damaged=damaged)
        return [*operations, *self.resend(group.id)] if was_gone else operations

    # ------------------------------------------------------------------------------------------ refusals

    def renumber(self, id: int, now: float) -> list[Operation]:
        """Somebody else has this id: what was to be there gets another one. The id stays taken."""
        group = self.groups.by_id.get(id)
        if group is not None:
            self.groups.renumber(group)
        for each in [group] if group is not None else self.groups.strip(id):
            self.groups.changed.setdefault(each, False)
        return self.rewrite(now)

    def is_lost(self, id: int, unusable: Collection[Gateway]) -> bool:
        """Tell whether a group is no more, or has no member left that once was usable: the kernel has neither it nor
        its routes."""
        group = self.groups.by_id.get(id)
        return group is None or (not group.legs and not any(member in unusable for member in group.members))

    def unrouted(self, prefixes: Iterable[Prefix]) -> list[Operation]:
        """Delete the routes of those of these prefixes that are to have none: they were to leave for a group that is
        lost, and the kernel has them lead to another one yet."""
        left = tuple(prefix for prefix in prefixes if (group := self.routes.get(prefix)) is None or not group.legs)
        return [DeleteRoutes(left)] if left else []

    def expects(self, id: int) -> bool:
        """Tell whether a group is to be in the kernel: it has members that can be used."""
        group = self.groups.by_id.get(id)
        return group is not None and bool(group.legs)

    def refuse(self, id: int, prefixes: Iterable[Prefix], errno: int, text: str) -> None:
        """The kernel would not point these routes at a group. What has happened to them since counts, not this."""
        group = self.groups.by_id.get(id)
        if group is not None:
            self._placement.refuse(group, prefixes, errno, text)
            if not group.prefixes:
                self.parting.forget(group)
