"""Which group each prefix is in: where a prefix without a route is put, and how it goes in and out."""

from __future__ import annotations

from collections.abc import Iterable

from routerd.core.fib.groups import Groups
from routerd.core.fib.lost import Lost
from routerd.core.fib.model import Group
from routerd.core.message import Operation, SetRoutes
from routerd.core.route import Prefix, forget
from routerd.core.wanted import Wanted

BULK = 512
"""Prefixes that come together and want the same: so many are a table, and share a group."""


class Placement:
    """`routes` has the group of each prefix; `refused` what the kernel would not write, as (errno, text)."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._lost = Lost()
        self.routes: dict[Prefix, Group] = {}
        self.refused: dict[Prefix, tuple[int, str]] = {}

    def add(
        self, wanted: Wanted, prefixes: list[Prefix], room: int, now: float
    ) -> tuple[list[Operation], list[Prefix]]:
        """Give prefixes a route that have none: one group for all, or one each, and then as many as there is room
        for. Return the operations and the prefixes that they are for."""
        if self._lost and (lost := self._lost.take(prefixes)):
            return self._revive(lost, wanted, prefixes, now), prefixes
        groups = self._groups
        found = groups.find(wanted)
        is_table = len(prefixes) > BULK or (found is not None and found.users > BULK)
        if groups.shape.resilient and not is_table and not groups.is_full:
            operations: list[Operation] = []
            for prefix in prefixes[:room]:
                group, made = groups.make(wanted, born=now)
                operations += [*made, *self.join([prefix], group)]
            return operations, prefixes if room >= len(prefixes) else prefixes[:room]
        group, made = (found, []) if found is not None else groups.make(wanted, shared=True, born=now)
        return [*made, *self.join(prefixes, group)], prefixes

    def _revive(
        self, lost: dict[Group, list[Prefix]], wanted: Wanted, prefixes: list[Prefix], now: float
    ) -> list[Operation]:
        """Give prefixes the groups again that they had when the kernel deleted these with their last member, as when
        a link goes down: flows are there still."""
        operations: list[Operation] = []
        rest = dict.fromkeys(prefixes)
        for group, some in lost.items():
            if self._groups.revive(group, wanted):
                operations += self._groups.write(group, now)
            if group.wanted == wanted and self._groups.by_id.get(group.id) is group:
                operations += self.join(some, group)
                forget(rest, some)
        if rest:
            operations += self.add(wanted, list(rest), len(rest), now)[0]
        return operations

    def join(self, prefixes: list[Prefix], group: Group) -> list[Operation]:
        """Put prefixes, which are in no group, into one."""
        routes, those = self.routes, group.prefixes
        for prefix in prefixes:
            routes[prefix] = group
            those[prefix] = None
        forget(self.refused, prefixes)
        return [SetRoutes(group.id, tuple(prefixes))] if group.legs else []

    def leave(self, prefixes: Iterable[Prefix], now: float) -> list[Prefix]:
        """Take prefixes out of their groups; return those that have a route in the kernel."""
        installed = []
        for prefix in prefixes:
            group = self.routes[prefix]
            self._take(prefix, group)
            if group.legs:
                installed.append(prefix)
            elif group.written and group.buckets and group.adapted:
                self._lost.note(prefix, group, now)
        return installed

    def refuse(self, group: Group, prefixes: Iterable[Prefix], errno: int, text: str) -> None:
        """The kernel would not point these routes at a group. What has happened to them since counts, not this."""
        for prefix in prefixes:
            if self.routes.get(prefix) is group:
                self._take(prefix, group)
                self.refused[prefix] = (errno, text)

    def _take(self, prefix: Prefix, group: Group) -> None:
        del self.routes[prefix]
        del group.prefixes[prefix]
        group.waiting.pop(prefix, None)
        if not group.prefixes:
            self._groups.empty[group] = None

    def forget_old(self, now: float) -> None:
        """Forget which groups prefixes were in that went too long ago."""
        self._lost.forget(now)

    def forget_lost(self) -> None:
        """Forget all groups that are gone."""
        self._lost = Lost()
