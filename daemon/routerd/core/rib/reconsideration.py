"""Decisions made anew, slice by slice, because the ways to next hops or the options of the process changed."""

from __future__ import annotations

from routerd.core.rib.loc_rib import Change, LocRib, PathSet
from routerd.core.route import Prefix

SLICE = 4096
"""Prefixes that are looked at once. A path set that is decided anew costs as much as `EACH` of them."""
EACH = 16
AT_ONCE = 1024
"""So many right away, when the news comes, beside what else it takes."""


class Reconsideration:
    """First all path sets are decided anew; then the table is gone through once for the prefixes of those that decide
    otherwise. True while anything is left."""

    def __init__(self, loc_rib: LocRib) -> None:
        self._loc_rib = loc_rib
        self._left: list[Prefix] | None = None

    def __bool__(self) -> bool:
        return bool(self._loc_rib.stale or self._loc_rib.untold)

    def begin(self) -> None:
        """All decisions may be others now."""
        self._loc_rib.invalidate()
        self._left = None

    def tell_all(self) -> None:
        """What is decided is to be said anew for every prefix."""
        self._loc_rib.untold.update(dict.fromkeys(self._loc_rib.sets()))
        self._left = None

    def slice(self, room: int = SLICE) -> list[Change]:
        """Do a bounded part; return prefixes whose path set is the same, and decides otherwise."""
        loc_rib, users = self._loc_rib, dict[PathSet, list[Prefix]]()
        while loc_rib.stale and room > 0:
            loc_rib.decision(loc_rib.stale.popitem()[0])
            room -= EACH
        if loc_rib.stale or not loc_rib.untold or room <= 0:
            return []
        if self._left is None:
            self._left = list(loc_rib.table)
        table, untold = loc_rib.table, loc_rib.untold
        for prefix in self._left[-room:]:
            paths = table.get(prefix)
            if paths in untold:
                users.setdefault(paths, []).append(prefix)
        del self._left[-room:]
        if not self._left:
            untold.clear()
            self._left = None
        return [(paths, paths, prefixes) for paths, prefixes in users.items()]
