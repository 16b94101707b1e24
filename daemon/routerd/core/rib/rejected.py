"""What of a peer's announcements was rejected, and why: the first ones prefix by prefix, the others by number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from routerd.core.rib.policy import Reject
from routerd.core.route import Family, Path, Prefix, family_of

LIMIT = 4096
"""Prefixes of a peer that are kept."""
OCTETS = 1 << 20
"""Octets that the attributes of the kept ones take at most."""


class Rejected:
    """The rejected announcements of one peer. `kept` has the reason for each prefix, and its path.

    `beyond` counts what came when there was no more room. Such a prefix is not known by name: one that is announced
    again counts again, and a withdrawal of an unknown prefix counts as one of these.
    """

    def __init__(self) -> None:
        self.kept: dict[Prefix, tuple[Path, Reject]] = {}
        self.beyond: Counter[tuple[Family, Reject]] = Counter()
        self._counts: Counter[tuple[Family, Reject]] = Counter()
        self._users: Counter[Path] = Counter()
        self._octets = 0

    def __bool__(self) -> bool:
        return bool(self.kept or self.beyond)

    def add(self, path: Path, rejected: Iterable[tuple[Prefix, Reject]]) -> None:
        """Take over rejected announcements of a path."""
        for prefix, reason in rejected:
            self._drop(prefix)
            more = 0 if path in self._users else path.weight
            if len(self.kept) >= LIMIT or self._octets + more > OCTETS:
                self.beyond[family_of(prefix), reason] += 1
                continue
            self._octets += more
            self._users[path] += 1
            self.kept[prefix] = path, reason
            self._counts[family_of(prefix), reason] += 1

    def news(self, rejected: Iterable[tuple[Prefix, Reject]]) -> dict[Reject, list[Prefix]]:
        """Return, of announcements that are about to be taken over, those whose reason is a new one."""
        known = {reason for (_, reason), count in self._counts.items() if count}
        known.update(reason for _, reason in self.beyond)
        found: dict[Reject, list[Prefix]] = {}
        for prefix, reason in rejected:
            if reason not in known:
                found.setdefault(reason, []).append(prefix)
        return found

    def forget(self, prefixes: Iterable[Prefix]) -> None:
        """These prefixes are accepted now."""
        for prefix in prefixes:
            self._drop(prefix)

    def withdraw(self, prefixes: Iterable[Prefix]) -> None:
        """These prefixes, which are not among the accepted ones, are withdrawn."""
        for prefix in prefixes:
            if not self._drop(prefix):
                self._forget_beyond(family_of(prefix))

    def clear(self) -> None:
        """Forget all."""
        self.kept.clear()
        self.beyond.clear()
        self._counts.clear()
        self._users.clear()
        self._octets = 0

    def counts(self) -> Counter[tuple[Family, Reject]]:
        """Count all by family and reason."""
        return self._counts + self.beyond

    def _drop(self, prefix: Prefix) -> bool:
        entry = self.kept.pop(prefix, None)
        if entry is None:
            return False
        path, reason = entry
        self._counts[family_of(prefix), reason] -= 1
        self._users[path] -= 1
        if not self._users[path]:
            del self._users[path]
            self._octets -= path.weight
        return True

    def _forget_beyond(self, family: Family) -> None:
        common = max((key for key in self.beyond if key[0] is family), key=self.beyond.__getitem__, default=None)
        if common is not None:
            self.beyond[common] -= 1
            self.beyond = +self.beyond
