"""Prefixes that share a group and come to want different things: they wait for each other, and part in the end.

Who parts takes the buckets along that its flows use, where the budget has room for as many again.
"""

from __future__ import annotations

from routerd.core.fib.groups import Groups
from routerd.core.fib.model import Group
from routerd.core.fib.placement import Placement
from routerd.core.message import DeleteRoutes, Operation
from routerd.core.route import Prefix, forget
from routerd.core.wanted import Wanted

FEW = 8
"""Prefixes that leave a shared group together: so many get a group each."""
AT_ONCE = 64
"""Groups that are made or changed in one plan: some milliseconds."""
LIKE = 16
"""How many of them a group counts for that is laid out like another one."""
MANY = 512
"""Prefixes that take as long to part as such a group takes to make."""


class Parting:
    """Groups of which some prefixes want something else than the others; false if there are none. `unfinished` tells
    whether the last `part` left a part of what was due to the next one."""

    def __init__(self, groups: Groups, placement: Placement) -> None:
        self._groups = groups
        self._placement = placement
        self._apart: dict[Group, None] = {}
        self.unfinished = False

    def __bool__(self) -> bool:
        return bool(self._apart)

    def forget(self, group: Group) -> None:
        """Nobody leaves this group for the time being."""
        self._apart.pop(group, None)

    def part(self, now: float) -> list[Operation]:
        """Let prefixes leave groups whose others want something else for good; a part of them, if they are many."""
        operations: list[Operation] = []
        room = AT_ONCE // LIKE
        while self._apart and room > 0:
            group = next(iter(self._apart))
            apart = [each for each in group.by_wanted().items() if not self._stays(group, each[0])]
            if not apart:
                self._stay(group)
                continue
            wanted, prefixes = min(apart, key=lambda item: len(item[1]))
            alone = len(prefixes) <= FEW and not self._groups.is_full and bool(group.buckets)
            for some in [[prefix] for prefix in prefixes[:room]] if alone else [prefixes]:
                if len(some) == len(group.prefixes) and group.adapted:
                    break  # the last ones: they keep the group
                operations += self._part(group, wanted, some, now, shared=not alone)
                room -= 1 + len(some) // MANY
            self.agree(group)
        self.unfinished = bool(self._apart)
        return operations

    def agree(self, group: Group) -> None:
        """If all prefixes of a group want the same now, that is what it becomes."""
        self._apart.pop(group, None)
        if not group.waiting:
            return
        if len(group.waiting) == len(group.prefixes) and group.adapted:
            wanted = next(iter(group.waiting.values()))
            if all(each is wanted or each == wanted for each in group.waiting.values()):
                group.waiting.clear()
                self._groups.change(group, wanted, shared=group.shared)
                return
        self._apart[group] = None

    def _stays(self, group: Group, wanted: Wanted) -> bool:
        """Tell whether prefixes that want this stay in their group: it has the members, and there are no buckets for
        other weights. Their flows would break for the sake of those."""
        affords = self._groups.shape.affords(self._groups.buckets + group.buckets)
        return group.adapted and not affords and wanted.is_like(group.wanted)

    def _stay(self, group: Group) -> None:
        """A group whose prefixes want different weights, and stay, has those that most of them want."""
        del self._apart[group]
        wanted, prefixes = max(group.by_wanted().items(), key=lambda item: len(item[1]))
        others = group.prefixes.keys() - group.waiting.keys()
        if len(prefixes) > len(others):
            group.waiting.update(dict.fromkeys(others, group.wanted))
            forget(group.waiting, prefixes)
            self._groups.change(group, wanted, shared=group.shared)

    def _part(
        self, source: Group, wanted: Wanted, prefixes: list[Prefix], now: float, *, shared: bool
    ) -> list[Operation]:
        """Part prefixes from the others of their group, along with the buckets that their flows use."""
        installed = self._placement.leave(prefixes, now)
        if source.adapted and source.legs and source.buckets:
            group, made = self._groups.part(source, wanted, now, shared=shared)
            operations = [*made, *self._placement.join(prefixes, group)]
        else:
            operations, _ = self._placement.add(wanted, prefixes, len(prefixes), now)
        gone = [prefix for prefix in installed if not self._placement.routes[prefix].legs]
        return [*operations, DeleteRoutes(tuple(gone))] if gone else operations
