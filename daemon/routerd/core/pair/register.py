"""The groups of both routers by their names, and how many stand how: kept as they change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from routerd.core.fib.fib import Fib
from routerd.core.fib.index import MOST
from routerd.core.fib.model import Group
from routerd.core.message import Gateway
from routerd.core.pair.accord import DIFFERS, NOT_TOLD, OTHER_NODES, Accord, Agreement, state_of
from routerd.core.pair.decisions import gap, off, weights_of
from routerd.core.pair.layouts import Held, key_of
from routerd.core.route import format_prefix

LIMIT = 2 * MOST
"""Groups that the partner may have: twice as many as this router."""
ROOM = 1 << 24
"""Buckets of all these groups together, of eight octets each: a short message may tell of many."""
_LEG = 16
"""Buckets for whose room a leg stands."""


class Register:
    """`accords` are this router's groups by id, `theirs` what the partner has told, by name, which is all there is
    once that is `complete`."""

    def __init__(self, fib: Fib) -> None:
        self._fib = fib
        self.accords: dict[int, Accord] = {}
        self.theirs: dict[str, Held] = {}
        self.complete = False
        self._taken = 0
        """Of `ROOM`."""
        self._ids: dict[str, int] = {}
        self._after: dict[str, set[int]] = {}
        """By name, the groups that are called after the one that has it."""
        self._states: dict[str, str] = {}
        self._summary = Counter[str]()
        self._using: dict[int, set[int]] = {}

    # ------------------------------------------------------------------------------------------ this router's groups

    def named(self, key: str) -> Accord | None:
        """Return this router's group of a name."""
        return self.accords.get(self._ids.get(key, 0))

    def name(self, group: Group) -> tuple[str, Accord | None]:
        """Return the name of a group, and whom it has to be taken from: of several shared ones of which the same
        is wanted the largest has it, and the others are told apart by their first prefixes. Empty for one that is not
        in the kernel, or that no other router can have."""
        key = key_of(group) if group.comparable and group.legs else ""
        holder = self._other(key, group)
        if holder is not None:
            other = self._fib.groups.by_id.get(holder.id)
            if other is not None and other.users >= group.users:
                key = f"{key} {format_prefix(min(group.prefixes))}"
                holder = self._other(key, group)
        return key, holder

    def _other(self, key: str, group: Group) -> Accord | None:
        """Return who has a name, if it is another one."""
        holder = self.named(key)
        return None if holder is None or holder.id == group.id else holder

    def named_after(self, key: str) -> list[int]:
        """Return the shared groups of which the same is wanted as of the one that has this name."""
        return sorted(self._after.get(key, ()))

    def add(self, id: int, key: str) -> None:
        """Enter a group."""
        self.accords[id] = Accord(id, key)
        self._ids[key] = id
        name, _, first = key.partition(" ")
        if first:
            self._after.setdefault(name, set()).add(id)
        self.restate(key)

    def remove(self, accord: Accord) -> None:
        """Undo `add`."""
        del self.accords[accord.id], self._ids[accord.key]
        if (after := self._after.get(name := accord.key.partition(" ")[0])) is not None:
            after.discard(accord.id)
            if not after:
                del self._after[name]
        self._use(accord, frozenset())
        self.restate(accord.key)

    def take(self, accord: Accord, held: Held, nexthops: frozenset[int]) -> None:
        """A group was read: its buckets lead to these nexthop objects."""
        accord.held = held
        self._use(accord, nexthops)
        self.restate(accord.key)

    def _use(self, accord: Accord, nexthops: frozenset[int]) -> None:
        for id in accord.nexthops - nexthops:
            self._using.get(id, set()).discard(accord.id)
        for id in nexthops - accord.nexthops:
            self._using.setdefault(id, set()).add(accord.id)
        accord.nexthops = nexthops

    def lose(self, nexthop: int) -> list[int]:
        """A nexthop object is gone: return the groups with buckets that led to it."""
        return sorted(self._using.pop(nexthop, ()))

    # ------------------------------------------------------------------------------------------ the partner's

    def hear(self, key: str, held: Held | None) -> Held | None:
        """The partner tells of a group, or that it is gone; return what it has told before."""
        before = self.theirs.pop(key, None)
        self._taken -= _room(before)
        if held is not None and len(self.theirs) < LIMIT and self._taken + _room(held) <= ROOM:
            self.theirs[key] = held
            self._taken += _room(held)
        self.restate(key)
        return before

    def heard_all(self) -> None:
        """The partner has told of all its groups."""
        self.complete = True
        for key in [key for key, state in self._states.items() if state == NOT_TOLD]:
            self.restate(key)

    def forget(self) -> None:
        """Nothing that the partner has told counts any more."""
        keys = [*self.theirs, *self._ids]
        self.theirs.clear()
        self._taken = 0
        self.complete = False
        for key in dict.fromkeys(keys):
            self.restate(key)

    # ------------------------------------------------------------------------------------------ how they stand

    def restate(self, key: str) -> None:
        """Keep the count of groups by state."""
        if (before := self._states.pop(key, None)) is not None:
            self._summary[before] -= 1
        accord, there = self.named(key), self.theirs.get(key)
        if accord is not None or there is not None:
            self._states[key] = state_of(accord, there, complete=self.complete)
            self._summary[self._states[key]] += 1

    def summary(self) -> Counter[str]:
        """Return how many groups there are by state."""
        return +self._summary

    def agreements(self) -> Iterator[Agreement]:
        """Return all groups, as they are when it is their turn."""
        for id in list(self.accords):
            if (found := self.agreement(id)) is not None:
                yield found
        for key in [key for key in self.theirs if key not in self._ids]:
            if (held := self.theirs.get(key)) is not None and key not in self._ids:
                yield Agreement(key, 0, len(held.owners), 0, 0, 0, self._states[key])

    def agreement(self, group_id: int) -> Agreement | None:
        """Return how a group stands; None if it is not one of the pair's."""
        accord, group = self.accords.get(group_id), self._fib.groups.by_id.get(group_id)
        if accord is None or group is None:
            return None
        state, held, there = self._states[accord.key], accord.held, self.theirs.get(accord.key)
        weights = weights_of(self._fib.groups.shares(group), there)
        differing = conflicts = 0
        if state in (DIFFERS, OTHER_NODES) and held is not None and there is not None:
            differing, conflicts = gap(held, there)
        deviating = off(held.owners, weights) if held is not None else 0
        return Agreement(accord.key, group_id, group.buckets, differing, conflicts, deviating, state)

    def owner(self, group_id: int, bucket: int) -> Gateway | None:
        """Return where a bucket leads on the partner, as last told; None if it was not. A gateway that this router's
        group does not have is on no interface (0)."""
        accord, group = self.accords.get(group_id), self._fib.groups.by_id.get(group_id)
        there = self.theirs.get(accord.key) if accord is not None else None
        if group is None or there is None or not 0 <= bucket < len(there.owners):
            return None
        address = there.owners[bucket]
        return next((leg for leg in group.legs if leg.address == address), Gateway(address, 0))

    def busy(self, accord: Accord, group: Group) -> frozenset[Gateway]:
        """Return the legs of a group that have flows on the partner, as last told."""
        if (there := self.theirs.get(accord.key)) is None:
            return frozenset()
        busy = {owner for owner, is_busy in zip(there.owners, there.bits(), strict=True) if is_busy}
        return frozenset(leg for leg in group.legs if leg.address in busy)


def _room(held: Held | None) -> int:
    return 0 if held is None else len(held.owners) + _LEG * len(held.legs)
