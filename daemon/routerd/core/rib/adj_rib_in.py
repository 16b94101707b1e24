"""Adj-RIB-In: what one peer announced, kept over a lost session while graceful restart allows it.

After a session ended the announcements are *stale*: still in the Loc-RIB, until the peer announces them again,
withdraws them, or they are purged. An ended session without graceful restart purges at once; the purge goes in
slices, so that it never holds up anything else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from routerd.core.rib.policy import Reject
from routerd.core.rib.rejected import Rejected
from routerd.core.route import Family, Path, Prefix, family_of, forget


class AdjRibIn:
    """The prefixes of one peer: accepted (in the Loc-RIB), stale (in it too), and rejected with the reason."""

    def __init__(self) -> None:
        self.accepted: dict[Prefix, Path] = {}
        self.stale: dict[Prefix, Path] = {}
        self.rejected = Rejected()
        self._chosen: list[Prefix] = []
        self._all = False

    def accept(self, path: Path, prefixes: list[Prefix]) -> None:
        """Take over accepted announcements."""
        if self.stale:
            forget(self.stale, prefixes)
        if self.rejected.kept:
            self.rejected.forget(prefixes)
        accepted = self.accepted
        for prefix in prefixes:
            accepted[prefix] = path

    def reject(self, path: Path, rejected: list[tuple[Prefix, Reject]]) -> list[Prefix]:
        """Take over rejected announcements; return those that replace an accepted one."""
        self.rejected.add(path, rejected)
        return self._drop(prefix for prefix, _ in rejected)

    def _drop(self, prefixes: Iterable[Prefix]) -> list[Prefix]:
        """Take prefixes out of the accepted and stale ones; return those that were there."""
        accepted, stale = self.accepted, self.stale
        return [prefix for prefix in prefixes if accepted.pop(prefix, None) or stale.pop(prefix, None)]

    def withdraw(self, prefixes: list[Prefix]) -> None:
        """Forget announcements that the peer withdrew."""
        if self.rejected:
            known = set(self._drop(prefixes))
            self.rejected.withdraw(prefix for prefix in prefixes if prefix not in known)
            return
        forget(self.accepted, prefixes)
        forget(self.stale, prefixes)

    def mark_stale(self, *, again: bool) -> None:
        """The session ended: nothing is certain any more. Rejected announcements end with it. What was stale already
        goes if the node itself has gone `again` (RFC 4724 section 4.2, consecutive restarts)."""
        if again or self._all:
            self._chosen, self._all = list(self.stale), False
        else:
            self._chosen = [prefix for prefix in self._chosen if prefix in self.stale]
        if self.stale:
            self.stale.update(self.accepted)
            self.accepted = {}
        else:
            # Failover waits: to free a large table takes milliseconds, even if it has become empty.
            self.stale, self.accepted = self.accepted, self.stale
        self.rejected.clear()

    def purge(self, family: Family | None = None) -> None:
        """Ask that the stale announcements (of one family, or all) go; `purge_slice` does the work."""
        if family is None:
            self._all = True
        elif not self._all:
            self._chosen += [prefix for prefix in self.stale if family_of(prefix) is family]

    def purge_slice(self, limit: int) -> list[Prefix]:
        """Drop up to `limit` of what `purge` asked for; return the prefixes to withdraw from the Loc-RIB.

        What the peer announced again in the meantime is no longer stale, and stays.
        """
        if self._all:
            count = min(limit, len(self.stale))
            self._all = count < len(self.stale)
            purged = [self.stale.popitem()[0] for _ in range(count)]
            if not self.stale:
                self.stale = {}  # an empty table keeps its size
            return purged
        chosen, self._chosen = self._chosen[-limit:], self._chosen[:-limit]
        return [prefix for prefix in chosen if self.stale.pop(prefix, None) is not None]

    @property
    def purging(self) -> bool:
        """Whether `purge_slice` has work left."""
        return bool(self._chosen or (self._all and self.stale))

    def rejections(self) -> Counter[Reject]:
        """Count the rejected prefixes by reason."""
        found: Counter[Reject] = Counter()
        for (_, reason), count in self.rejected.counts().items():
            found[reason] += count
        return found
