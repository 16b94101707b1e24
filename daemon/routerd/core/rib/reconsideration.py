"""Decisions made anew, slice by slice, because the ways to next hops or the options of the process changed."""

from __future__ import annotations

from itertools import islice

from routerd.core.rib.loc_rib import Change, LocRib, PathSet
from routerd.core.route import Prefix

SLICE = 4096
"""Prefixes that are looked at once. A path set that is decided anew costs as much as `EACH` of them."""
EACH = 16
AT_ONCE = 1024
"""So many right away, when the news comes, beside what else it takes."""


class Reconsideration:
    """By rounds: the path sets that are stale are decided anew; then the table is gone through once for the prefixes
    of those that decide otherwise. What gets stale meanwhile does not begin a round anew, however often that happens:
    while the table is gone through, it takes half of the room. True while anything is left."""

    def __init__(self, loc_rib: LocRib) -> None:
        self._loc_rib = loc_rib
        self._due = 0
        """Stale sets that are to be decided before the table is gone through."""
        self._left: list[Prefix] | None = None
        """The prefixes that are left to be gone through; None while sets are decided."""
        self._telling: dict[PathSet, int] = {}
        """What was untold when that began."""

    def __bool__(self) -> bool:
        return bool(self._loc_rib.stale or self._loc_rib.untold)

    def begin(self) -> None:
        """All decisions may be others now."""
        self._loc_rib.invalidate()

    def tell_all(self) -> None:
        """What is decided is to be said anew for every prefix."""
        self._loc_rib.forget_told()
        self._left = None

    def slice(self, room: int = SLICE) -> list[Change]:
        """Do a bounded part; return prefixes whose path set is the same, and decides otherwise."""
        room -= EACH * self._decide(room // EACH)
        if self._left is None and not self._due and self._loc_rib.untold:
            self._left, self._telling = list(self._loc_rib.table), dict(self._loc_rib.untold)
        return [] if self._left is None else self._tell(self._left, room)

    def _decide(self, most: int) -> int:
        """Decide stale sets anew, the oldest first; return how many."""
        stale = self._loc_rib.stale
        if self._left is None:
            self._due = min(self._due, len(stale)) or len(stale)
            most = min(most, self._due)
        else:
            most //= 2
        some = list(islice(stale, most))
        for paths in some:
            self._loc_rib.decision(paths)
        self._due = max(0, self._due - len(some))
        return len(some)

    def _tell(self, left: list[Prefix], room: int) -> list[Change]:
        loc_rib, users = self._loc_rib, dict[PathSet, list[Prefix]]()
        table, untold = loc_rib.table, loc_rib.untold
        for prefix in self._some(left, room):
            paths = table.get(prefix)
            if paths in untold:
                users.setdefault(paths, []).append(prefix)
        if not left:
            for paths, epoch in self._telling.items():
                if untold.get(paths) == epoch:
                    del untold[paths]
            self._left, self._telling = None, {}
        return [(paths, paths, prefixes) for paths, prefixes in users.items()]

    def _some(self, left: list[Prefix], room: int) -> list[Prefix]:
        """Take prefixes from the end of what is left: fewer where their sets have to be decided first."""
        stale, untold, table = self._loc_rib.stale, self._loc_rib.untold, self._loc_rib.table
        if not stale:
            some = left[-room:] if room > 0 else []
            del left[len(left) - len(some) :]
            return some
        some = []
        while left and room > 0:
            some.append(left.pop())
            paths = table.get(some[-1])
            room -= 1
            if paths in stale and paths in untold:
                self._loc_rib.decision(paths)
                room -= EACH
        return some[::-1]
