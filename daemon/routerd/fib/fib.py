"""The desired FIB, and the operations that lead there from what the kernel has.

A route points at a group for as long as it lives, and so a change of members is a change of the group:

- all prefixes of a group change to the same members: the group is replaced in place, no route is touched;
- some of them do: those move to the group of these members, the others stay;
- a gateway fails: one nexthop object is deleted, and the kernel takes it out of every group.

Two groups may come to have the same members that way. Moving the prefixes of one to the other would move the
flows of a resilient group between nodes, so they stay apart until one of them carries no flow (`merge`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from routerd.fib.model import Group, Ids, Members, Shape
from routerd.message import (
    DeleteNexthop,
    DeleteRoutes,
    Gateway,
    Member,
    Operation,
    SetGroup,
    SetNexthop,
    SetRoutes,
)
from routerd.route import Prefix


class Fib:
    """The model of the kernel's FIB as far as it is routerd's. Refused prefixes map to (errno, text)."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.ids = Ids()
        self.nexthops: dict[Gateway, int] = {}
        self.groups: dict[int, Group] = {}
        self.routes: dict[Prefix, Group] = {}
        self.refused: dict[Prefix, tuple[int, str]] = {}
        self.down: set[Gateway] = set()
        self._by_members: dict[Members, list[Group]] = {}
        self._uses: Counter[Gateway] = Counter()
        self._pending: dict[Prefix, Members] = {}
        self._held: dict[Prefix, Members] = {}

    # ------------------------------------------------------------------------------------------ what is wanted

    def want(self, prefixes: Iterable[Prefix], members: Members) -> None:
        """These prefixes shall go to these gateways; to none: they shall have no route."""
        wanted = dict.fromkeys(prefixes, members)
        self._pending.update(wanted)
        if self._held:
            for prefix in wanted:
                self._held.pop(prefix, None)

    def has_pending(self) -> bool:
        """Tell whether `plan` may have something to do."""
        return bool(self._pending)

    @property
    def installed(self) -> int:
        """The number of routes that the kernel has, as far as routerd knows."""
        return sum(group.users for group in self.groups.values() if group.live)

    def plan(self, *, quiet: bool) -> list[Operation]:
        """Return the operations for what is wanted, and take them as done.

        Unless `quiet`, prefixes that have a route keep their group for now: the others of the group may be about
        to follow them, and then the group changes instead.
        """
        changes: list[Operation] = []
        adds: dict[Members, list[Prefix]] = {}
        moves: dict[Group, dict[Members, list[Prefix]]] = {}
        deletes: list[Prefix] = []
        later: dict[Prefix, Members] = {}
        for prefix, members in self._pending.items():
            group = self.routes.get(prefix)
            if group is None:
                if members:
                    adds.setdefault(members, []).append(prefix)
            elif group.awaiting:
                self._held[prefix] = members
            elif not members:
                deletes.append(prefix)
            elif group.members != members or not group.adapted:
                if quiet:
                    moves.setdefault(group, {}).setdefault(members, []).append(prefix)
                else:
                    later[prefix] = members
        self._pending = later

        gone = self._leave(deletes)
        for group, targets in list(moves.items()):
            members, prefixes = next(iter(targets.items()))
            if group.adapted and len(targets) == 1 and len(prefixes) == group.users:
                changes += self._replace(group, members)
                del moves[group]
        for targets in moves.values():
            for members, prefixes in targets.items():
                gone += self._leave(prefixes)
                adds.setdefault(members, []).extend(prefixes)
        for members, prefixes in adds.items():
            group, made = self._group(members)
            changes += made
            self._join(prefixes, group)
            if group.live:
                changes.append(SetRoutes(group.id, tuple(prefixes)))
        gone = [prefix for prefix in gone if prefix not in self.routes or not self.routes[prefix].live]
        if gone:
            changes.append(DeleteRoutes(tuple(gone)))
        return changes + self._sweep()

    # ------------------------------------------------------------------------------------------ failover

    def fail(self, gateways: Iterable[Gateway]) -> list[Operation]:
        """These gateways are dead: one operation each takes them out of every group, however many prefixes."""
        operations: list[Operation] = []
        for gateway in gateways:
            if gateway in self.down:
                continue
            self.down.add(gateway)
            id = self.nexthops.pop(gateway, None)
            if id is None:
                continue
            operations.append(DeleteNexthop(id))
            self.ids.free(id)
            for group in self.groups.values():
                if gateway in group.live:
                    group.live = tuple(member for member in group.live if member != gateway)
        return operations

    def restore(self, gateways: Iterable[Gateway]) -> list[Operation]:
        """These gateways are back: they join the groups that want them."""
        back = self.down.intersection(gateways)
        self.down -= back
        operations: list[Operation] = []
        for group in [group for group in self.groups.values() if not back.isdisjoint(group.members)]:
            was_gone = not group.live
            operations += self._write(group)
            if was_gone and group.live and group.users:
                prefixes = tuple(prefix for prefix, user in self.routes.items() if user is group)
                operations.append(SetRoutes(group.id, prefixes))
        return operations

    def forget(self, gateways: Iterable[Gateway]) -> None:
        """No path leads over these gateways any more, so that whether they are down is of no interest."""
        self.down.difference_update(gateways)

    # ------------------------------------------------------------------------------------------ restart

    def settle(self, gateways: Iterable[Gateway]) -> None:
        """The nodes behind these gateways have said all they announce: what waited for them can proceed."""
        settled = set(gateways)
        released = False
        for group in self.groups.values():
            if group.awaiting:
                group.awaiting -= settled
                released = released or not group.awaiting
        if released:
            self._pending.update(self._held)
            self._held = {}

    def awaited(self) -> set[Gateway]:
        """The gateways that some adopted group still waits for."""
        return {gateway for group in self.groups.values() for gateway in group.awaiting}

    # ------------------------------------------------------------------------------------------ refusals

    def refuse(self, prefixes: Iterable[Prefix], errno: int, text: str) -> None:
        """The kernel would not take these routes."""
        for prefix in prefixes:
            self.refused[prefix] = (errno, text)
            group = self.routes.pop(prefix, None)
            if group is not None:
                group.users -= 1

    # ------------------------------------------------------------------------------------------ twins

    def twins(self) -> list[Group]:
        """Groups that have the same members as another and could give way to it, the smaller ones."""
        found: list[Group] = []
        for groups in self._by_members.values():
            settled = sorted((g for g in groups if not g.awaiting), key=lambda g: -g.users)
            found += settled[1:]
        return found

    def merge(self, ids: Iterable[int]) -> list[Operation]:
        """These twins carry no flow now: move their prefixes to the larger one."""
        operations: list[Operation] = []
        for group in [group for group in self.twins() if group.id in set(ids)]:
            keeper = max(self._by_members[group.members], key=lambda g: (g is not group, g.users))
            prefixes = tuple(prefix for prefix, user in self.routes.items() if user is group)
            self._leave(prefixes)
            self._join(prefixes, keeper)
            if keeper.live and prefixes:
                operations.append(SetRoutes(keeper.id, prefixes))
        return operations + self._sweep()

    # ------------------------------------------------------------------------------------------ bookkeeping

    def _join(self, prefixes: Iterable[Prefix], group: Group) -> None:
        before = len(self.routes)
        self.routes.update(dict.fromkeys(prefixes, group))
        group.users += len(self.routes) - before
        if self.refused:
            for prefix in prefixes:
                self.refused.pop(prefix, None)

    def _leave(self, prefixes: Iterable[Prefix]) -> list[Prefix]:
        """Take prefixes out of their groups; return those that have a route in the kernel."""
        installed = []
        for prefix in prefixes:
            group = self.routes.pop(prefix)
            group.users -= 1
            if group.live:
                installed.append(prefix)
        return installed

    def _group(self, members: Members) -> tuple[Group, list[Operation]]:
        """Return the group of these members, made now if there is none."""
        if groups := self._by_members.get(members):
            return max(groups, key=lambda group: group.users), []
        group = Group(self.ids.new(), members, ())
        self.groups[group.id] = group
        self.index(group)
        return group, self._write(group)

    def _replace(self, group: Group, members: Members) -> list[Operation]:
        """Give a group other members under its id."""
        was_gone = not group.live
        self.unindex(group)
        group.members = members
        self.index(group)
        operations = self._write(group)
        if was_gone and group.live:
            prefixes = tuple(prefix for prefix, user in self.routes.items() if user is group)
            operations.append(SetRoutes(group.id, prefixes))
        return operations

    def _write(self, group: Group) -> list[Operation]:
        """Make the kernel's group what it should be, all members that are not down."""
        live = tuple(member for member in group.members if member not in self.down)
        if live == group.live:
            return []
        group.live = live
        if not live:
            return [DeleteNexthop(group.id)]
        return [*self._nexthops(live), self.set_group(group)]

    def set_group(self, group: Group) -> SetGroup:
        """Return the operation that writes a group as the model has it."""
        return self.shape.operation(group.id, (Member(self.nexthops[member]) for member in group.live))

    def _nexthops(self, members: Members) -> list[Operation]:
        operations: list[Operation] = []
        for gateway in members:
            if gateway not in self.nexthops:
                self.nexthops[gateway] = self.ids.new()
                operations.append(SetNexthop(self.nexthops[gateway], gateway))
        return operations

    def index(self, group: Group) -> None:
        """Enter a group under its members; one that the kernel will not let change serves no new prefix."""
        self._uses.update(group.members)
        if group.adapted:
            self._by_members.setdefault(group.members, []).append(group)

    def unindex(self, group: Group) -> None:
        """Undo `index`."""
        self._uses.subtract(group.members)
        groups = self._by_members.get(group.members, [])
        if group in groups:
            groups.remove(group)
            if not groups:
                del self._by_members[group.members]

    def _sweep(self) -> list[Operation]:
        """Delete groups that no prefix uses and nexthops that no group has."""
        operations: list[Operation] = []
        for group in [group for group in self.groups.values() if not group.users and not group.awaiting]:
            del self.groups[group.id]
            self.unindex(group)
            self.ids.free(group.id)
            if group.live:
                operations.append(DeleteNexthop(group.id))
        for gateway in [gateway for gateway in self.nexthops if self._uses[gateway] <= 0]:
            id = self.nexthops.pop(gateway)
            del self._uses[gateway]
            self.ids.free(id)
            operations.append(DeleteNexthop(id))
        return operations
