"""The desired FIB, and the operations that lead there from what the kernel has.

A route points at a group for as long as it lives, and so a change of members is a change of the group:

- all prefixes of a group change to the same members: the group is replaced in place, no route is touched, unless
  it was made like another one so recently that flows in it may not have sent anything since;
- some of them do: those move to a group of these members that is made like the one they leave, the others stay;
- a gateway fails: one nexthop object is deleted, and the kernel takes it out of every group.

Two groups may come to have the same members that way. Moving the prefixes of one to the other would move the
flows of a resilient group between nodes, so they stay apart until one of them carries no flow (`merge`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from itertools import repeat

from routerd.core.fib.groups import YOUTH, Groups
from routerd.core.fib.model import NEVER, Group, Members, Shape, Wanted, in_order, runs
from routerd.core.message import DeleteRoutes, Gateway, Operation, SetGroup, SetRoutes
from routerd.core.route import Prefix, forget

PARTINGS = 2
"""Groups that are made like another one in one plan: each takes some ten milliseconds when it carries many flows."""
LOST_KEPT = 300.0
"""Seconds for which one remembers, at least, what groups were like that the kernel deleted with their last member."""
NEWBORN = 4096
"""Prefixes a second whose birth is remembered: more than that are no new addresses but a node's table."""


class Fib:
    """The model of the kernel's FIB as far as it is routerd's. Refused prefixes map to (errno, text)."""

    def __init__(self, shape: Shape) -> None:
        self.groups = Groups(shape)
        self.routes: dict[Prefix, Group] = {}
        self.refused: dict[Prefix, tuple[int, str]] = {}
        self._pending: dict[Prefix, Wanted] = {}
        self._waiting: dict[Prefix, Wanted] = {}
        self._held: dict[Prefix, Wanted] = {}
        self._parting: dict[Prefix, Wanted] = {}
        self._lost: dict[Prefix, Group] = {}
        self._lost_at = NEVER
        self._newborn: deque[tuple[float, set[Prefix]]] = deque()
        self._unswept = True

    # ------------------------------------------------------------------------------------------ what is wanted

    def want(self, prefixes: Collection[Prefix], members: Members, leaving: frozenset[Gateway] = frozenset()) -> None:
        """These prefixes shall go to these gateways, drained where they are `leaving`; to none: they shall have no
        route."""
        self._pending.update(zip(prefixes, repeat(Wanted(members, leaving))))
        for older in (self._held, self._parting):
            forget(older, prefixes)
        if not members:
            forget(self.refused, prefixes)

    def has_pending(self) -> bool:
        """Tell whether `plan` may have something to do."""
        return bool(self._pending or self._waiting or self._unswept) or self.unfinished

    @property
    def unfinished(self) -> bool:
        """Whether the last plan left a part of what was due to the next one."""
        return bool(self._parting or self.groups.bereft)

    def has_waiting(self) -> bool:
        """Tell whether prefixes wait for the rest of their group before they move."""
        return bool(self._waiting)

    @property
    def installed(self) -> int:
        """The number of routes that the kernel has, as far as routerd knows."""
        return sum(group.users for group in self.groups if group.legs)

    def expected(self) -> dict[Prefix, int]:
        """Return a copy of what the kernel's routes should be: prefix -> group id."""
        return {prefix: group.id for prefix, group in self.routes.items() if group.legs}

    def plan(self, now: float, *, quiet: bool) -> list[Operation]:
        """Return the operations for what is wanted, and take them as done.

        Unless `quiet`, prefixes that have a route keep their group for now: the others of the group may be about
        to follow them, and then the group changes instead. Of groups that are made like others only a few come at
        once; the rest is left `unfinished`.
        """
        adds: dict[tuple[Wanted, Group | None], list[Prefix]] = {}
        moves: dict[Group, dict[Wanted, list[Prefix]]] = {}
        deletes: list[Prefix] = []
        parting, self._parting = self._parting, {}
        pending, self._pending = self._pending, {}
        if quiet and self._waiting:
            pending, self._waiting = self._waiting | pending, {}
        for group, wanted, prefixes, due in (*runs(parting, self.routes, True), *runs(pending, self.routes, quiet)):
            moving = bool(wanted.members) and group is not None and (group.wanted != wanted or not group.adapted)
            if moving and not due and group is not None and not group.awaiting:
                self._waiting.update(zip(prefixes, repeat(wanted)))
                continue
            forget(self._waiting, prefixes)
            if group is None:
                if wanted.members:
                    for lost, some in self._by_lost(wanted, prefixes):
                        adds.setdefault((wanted, lost), []).extend(some)
            elif group.awaiting:
                self._held.update(zip(prefixes, repeat(wanted)))
            elif not wanted.members:
                deletes += prefixes
            elif moving:
                moves.setdefault(group, {}).setdefault(wanted, []).extend(prefixes)

        operations: list[Operation] = []
        self._note_loss(deletes, now)
        gone = self._leave(deletes)
        for group, targets in list(moves.items()):
            wanted, prefixes = next(iter(targets.items()))
            whole = len(targets) == 1 and len(prefixes) == group.users
            if group.adapted and whole and self.groups.pliable(group):
                operations += self.rewritten(group, partial(self.groups.replace, group, wanted, now))
                del moves[group]
        likes = 0
        for group, targets in moves.items():
            for wanted, prefixes in targets.items():
                if likes == PARTINGS:
                    self._parting.update(zip(prefixes, repeat(wanted)))
                    continue
                gone += self._leave(prefixes)
                moved = self._move(group, wanted, prefixes, now)
                likes += any(isinstance(operation, SetGroup) and operation.like for operation in moved)
                operations += moved
        for (wanted, lost), prefixes in adds.items():
            found = self.groups.find(wanted) if lost is None else self.groups.made_like(wanted, lost)
            born = now if lost is None else NEVER
            target, made = (found, []) if found else self.groups.make(wanted, now, lost, born=born)
            if target.origin is not None:
                self.groups.rebalance[target.id] = now + self.groups.shape.idle_timer
            if lost is None:
                self._note_birth(prefixes, now)
            operations += [*made, *self._join(prefixes, target)]
        gone = [prefix for prefix in gone if prefix not in self.routes or not self.routes[prefix].legs]
        if gone:
            operations.append(DeleteRoutes(tuple(gone)))
        for id in list(self.groups.bereft):
            del self.groups.bereft[id]
            operations += self.rewritten(
                self.groups.by_id[id], partial(self.groups.write, self.groups.by_id[id], now)
            )
        return operations + self.sweep()

    def _move(self, source: Group, wanted: Wanted, prefixes: list[Prefix], now: float) -> list[Operation]:
        """Part prefixes from the others of their group, along with the buckets that their flows use."""
        like = source if source.adapted and source.legs and source.buckets else None
        found, keeper, born = None, None, NEVER
        if like is None or self.groups.is_alone(wanted.members):  # alone, it gets all flows wherever they were
            like, found = None, self.groups.find(wanted)
        elif source.untracked or source.keeper is not None:
            # All flows are one member's, and which buckets they use is not known.
            like, keeper = None, source.keeper or next(iter(source.legs))
            born = self._birth(prefixes, now)
        elif set(wanted.members) <= set(source.members):
            # Where only members leave, the buckets of the others are the same whenever the copy was made.
            found = self.groups.made_like(wanted, like)
        target, operations = (found, []) if found else self.groups.make(wanted, now, like, keeper, born)
        if operations and target.origin is not None:
            self.groups.rebalance[target.id] = now + self.groups.shape.idle_timer
        return [*operations, *self._join(prefixes, target)]

    def _by_lost(self, wanted: Wanted, prefixes: list[Prefix]) -> Iterable[tuple[Group | None, list[Prefix]]]:
        """Part prefixes that get a route by the group that they had when the kernel deleted it with its last member,
        as when a link goes down: flows are there still, and a group like it keeps them."""
        if not self._lost:
            return [(None, prefixes)]
        parted: dict[Group | None, list[Prefix]] = {}
        for prefix in prefixes:
            lost = self._lost.pop(prefix, None)
            same = lost is not None and lost.buckets and lost.wanted == wanted and len(wanted.members) > 1
            parted.setdefault(lost if same else None, []).append(prefix)
        return parted.items()

    def _note_loss(self, prefixes: list[Prefix], now: float) -> None:
        """Remember the groups that the kernel has deleted and their prefixes leave now, for a while."""
        lost = {prefix: group for prefix in prefixes if not (group := self.routes[prefix]).legs and group.buckets}
        if lost or now - self._lost_at > LOST_KEPT:
            if now - self._lost_at > LOST_KEPT:
                self._lost = {}
            self._lost |= lost
            self._lost_at = now

    def _birth(self, prefixes: list[Prefix], now: float) -> float:
        """Return since when the first of these has a route, at most, if all are young: nodes announce a new address
        one after the other."""
        since = now
        for prefix in prefixes:
            since = min(since, next((time for time, added in self._newborn if prefix in added), NEVER))
        return since

    def _note_birth(self, prefixes: list[Prefix], now: float) -> None:
        while self._newborn and now - self._newborn[0][0] >= YOUTH:
            self._newborn.popleft()
        if not self._newborn or now - self._newborn[-1][0] >= 1.0:
            self._newborn.append((now, set()))
        if len(self._newborn[-1][1]) + len(prefixes) <= NEWBORN:
            self._newborn[-1][1].update(prefixes)

    def made_afresh(self, id: int) -> None:
        """There were no flows for this group to take over: nothing in it has to show itself first, and its buckets
        are not those of the group that it was to be like."""
        if (group := self.groups.by_id.get(id)) is not None:
            group.origin = None
            if group.keeper is None:
                self.groups.rebalance.pop(id, None)

    # ------------------------------------------------------------------------------------------ failover, drain

    def fail(self, gateways: Iterable[Gateway]) -> list[Operation]:
        """These gateways are dead: one operation each takes them out of every group, however many prefixes."""
        operations: list[Operation] = []
        for gateway in in_order(gateways):
            if gateway not in self.groups.down:
                self.groups.down.add(gateway)
                operations += self.groups.lose(gateway)
        return operations

    def restore(self, gateways: Iterable[Gateway], now: float) -> list[Operation]:
        """These gateways are back: they join the groups that want them."""
        back = self.groups.down.intersection(gateways)
        self.groups.down -= back
        return self._rewrite(back, now)

    def forget(self, gateways: Iterable[Gateway]) -> None:
        """No node leads to these gateways any more: once no group wants them, whether they are down is past."""
        self.groups.down.difference_update([gateway for gateway in gateways if not self.groups.wants(gateway)])

    def drain(self, gateways: set[Gateway], now: float) -> list[Operation]:
        """Exactly these gateways are drained now: they keep their flows and get no new ones."""
        changed = self.groups.draining ^ gateways
        self.groups.draining = gateways
        return self._rewrite(changed, now)

    def balance(self, now: float) -> list[Operation]:
        """Give groups whose time has come the weights of their members."""
        return self.groups.balance(now)

    def unused(self, ids: Iterable[int], now: float) -> list[Operation]:
        """These groups carry no flow: young ones need not wait for any to show itself."""
        self.groups.rebalance.update((id, now) for id in self.groups.glanced.intersection(ids))
        return self.balance(now)

    def drained(self, busy: Mapping[int, Collection[int]], now: float) -> list[Operation]:
        """Take drained members out of groups in which no bucket of theirs carries flows; `busy` has, by group, the
        nexthop objects that flows go to.
        """
        operations: list[Operation] = []
        for id in [id for id in busy if id in self.groups.clinging]:
            group = self.groups.by_id[id]
            if self.groups.emptied(group, busy[id]):
                operations += self.rewritten(group, partial(self.groups.write, group, now))
        return operations

    def _rewrite(self, changed: set[Gateway], now: float) -> list[Operation]:
        operations: list[Operation] = []
        for group in [group for group in self.groups if not changed.isdisjoint(group.members)]:
            if group.adapted and group.legs and not group.awaiting and not self.groups.pliable(group):
                operations += self._remake(group, now)
            else:
                operations += self.rewritten(group, partial(self.groups.write, group, now))
        return operations

    def _remake(self, group: Group, now: float) -> list[Operation]:
        """Replace a group by one like it, for it was made so itself not long ago: buckets that were not used since
        are free to move in the kernel's eyes, and may carry flows."""
        target, operations = self.groups.make(group.wanted, now, group)
        self.groups.rebalance[target.id] = self.groups.rebalance[group.id] + self.groups.shape.idle_timer
        prefixes = self.users(group)
        self._leave(prefixes)
        self._unswept = True
        return [*operations, *self._join(prefixes, target)]

    def resend(self, id: int) -> list[Operation]:
        """The kernel has lost the routes of this group, and has the group."""
        group = self.groups.by_id.get(id)
        return [SetRoutes(id, tuple(self.users(group)))] if group is not None and group.legs and group.users else []

    def rewritten(self, group: Group, write: Callable[[], list[Operation]]) -> list[Operation]:
        """Write a group; if the kernel did not have it before it has lost its routes, and they come again."""
        was_gone = not group.legs
        operations = write()
        return [*operations, *self.resend(group.id)] if was_gone else operations

    # ------------------------------------------------------------------------------------------ restart

    def settle(self, gateways: Iterable[Gateway]) -> None:
        """The nodes behind these gateways have said all they announce: what waited for them can proceed."""
        settled = set(gateways)
        released = False
        for group in self.groups:
            if group.awaiting:
                group.awaiting -= settled
                released = released or not group.awaiting
        if released:
            self._pending.update(self._held)
            self._held = {}
            self._unswept = True

    def awaited(self) -> set[Gateway]:
        """The gateways that some adopted group still waits for."""
        return {gateway for group in self.groups for gateway in group.awaiting}

    # ------------------------------------------------------------------------------------------ refusals, twins

    def renumber(self, id: int, now: float) -> list[Operation]:
        """Somebody else has this id: what was to be there gets another one. The id stays taken."""
        group = self.groups.by_id.get(id)
        if group is not None:
            self.groups.renumber(group)
            return self.rewritten(group, partial(self.groups.write, group, now))
        without = self.groups.strip(id)
        return [each for group in without for each in self.rewritten(group, partial(self.groups.write, group, now))]

    def is_lost(self, id: int, unusable: Collection[Gateway]) -> bool:
        """Tell whether a group is no more, or has no member left that once was usable: the kernel has neither it nor
        its routes."""
        group = self.groups.by_id.get(id)
        return group is None or (not group.legs and not any(member in unusable for member in group.members))

    def refuse(self, id: int, prefixes: Iterable[Prefix], errno: int, text: str) -> None:
        """The kernel would not point these routes at a group. What has happened to them since counts, not this."""
        for prefix in prefixes:
            group = self.routes.get(prefix)
            if group is not None and group.id == id:
                del self.routes[prefix]
                group.users -= 1
                self.refused[prefix] = (errno, text)

    def merge(self, ids: Iterable[int]) -> list[Operation]:
        """These twins carry no flow now: move their prefixes to the larger one."""
        idle = set(ids) - self.groups.rebalance.keys()  # flows of those may not have shown themselves
        keepers = {group: self.groups.find(group.wanted) for group in self.groups.twins() if group.id in idle}
        moves: dict[Group, list[Prefix]] = {}
        for prefix, group in self.routes.items() if keepers else ():
            keeper = keepers.get(group)
            if keeper is not None and keeper is not group:
                moves.setdefault(keeper, []).append(prefix)
        operations: list[Operation] = []
        for keeper, prefixes in moves.items():
            self._leave(prefixes)
            operations += self._join(prefixes, keeper)
        return operations + self.sweep()

    # ------------------------------------------------------------------------------------------ bookkeeping

    def users(self, group: Group) -> list[Prefix]:
        """Return the prefixes that point at a group."""
        return [prefix for prefix, user in self.routes.items() if user is group]

    def _join(self, prefixes: list[Prefix], group: Group) -> list[Operation]:
        before = len(self.routes)
        self.routes.update(zip(prefixes, repeat(group)))
        group.users += len(self.routes) - before
        forget(self.refused, prefixes)
        return [SetRoutes(group.id, tuple(prefixes))] if group.legs and prefixes else []

    def _leave(self, prefixes: Iterable[Prefix]) -> list[Prefix]:
        """Take prefixes out of their groups; return those that have a route in the kernel."""
        installed = []
        for prefix in prefixes:
            group = self.routes.pop(prefix)
            group.users -= 1
            if group.legs:
                installed.append(prefix)
        return installed

    def sweep(self) -> list[Operation]:
        """Delete what nothing uses."""
        self._unswept = False
        return self.groups.sweep()
