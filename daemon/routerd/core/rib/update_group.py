"""Update groups: what peers of one kind hear is worked out, kept and encoded once, however many they are.

The peers of a group differ in one thing: none hears what it has announced itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cached_property

from routerd.core.parted import parted
from routerd.core.rib.export import Exporter, Told
from routerd.core.route import Attributes, Family, Path, Prefix, family_of

Bests = Iterable[tuple[Path | None, Iterable[Prefix]]]
"""Prefixes with the best path that they have now, None without one."""
Announced = tuple[tuple[Attributes, tuple[Prefix, ...]], ...]


class Difference:
    """What changed for a group. The same tuples go to all members that it does not concern as sources."""

    def __init__(self, moves: list[tuple[Prefix, Told | None, Told | None]]) -> None:
        self._moves = moves
        self._sources = {told[1] for _, *both in moves for told in both if told is not None}

    @cached_property
    def _shared(self) -> tuple[tuple[Prefix, ...], Announced]:
        return self._heard_by(None)

    def heard_by(self, peer: str) -> tuple[tuple[Prefix, ...], Announced]:
        """Return what a member is to withdraw and to hear."""
        return self._heard_by(peer) if peer in self._sources else self._shared

    def _heard_by(self, peer: str | None) -> tuple[tuple[Prefix, ...], Announced]:
        withdrawn: list[Prefix] = []
        announced: dict[Attributes, list[Prefix]] = {}
        for prefix, before, after in self._moves:
            heard = None if before is None or before[1] == peer else before[0]
            if after is None or after[1] == peer:
                if heard is not None:
                    withdrawn.append(prefix)
            elif heard != after[0]:
                announced.setdefault(after[0], []).append(prefix)
        return tuple(withdrawn), _paired(announced)


class UpdateGroup:
    """Peers that hear the same, `members`, and what that is: their Adj-RIB-Out. `learned`: routes of peers, too.
    `defaults` are told whatever the Loc-RIB has."""

    def __init__(self, exporter: Exporter) -> None:
        self.members: dict[str, None] = {}
        self.learned = exporter.learned
        self.defaults = exporter.defaults
        self._exporter = exporter
        self._told: dict[Prefix, Told] = {}
        self._counts: Counter[tuple[str, Family]] = Counter()
        self._total: Counter[Family] = Counter()
        self._whole: Announced | None = None
        self._by_source: list[tuple[str, tuple[Attributes, tuple[Prefix, ...]]]] | None = None

    def take(self, bests: Bests) -> Difference:
        """Take over new best paths."""
        told, defaults = self._told, self.defaults
        moves: list[tuple[Prefix, Told | None, Told | None]] = []
        for path, prefixes in bests:
            by_family = {family: self._exporter.told(path, family) for family in Family}
            for prefix in prefixes:
                before, after = told.get(prefix), by_family[family_of(prefix)]
                if prefix in defaults:
                    after = defaults[prefix]
                if before == after:
                    continue
                moves.append((prefix, before, after))
                if after is None:
                    del told[prefix]
                else:
                    told[prefix] = after
        if moves:
            self._whole = self._by_source = None
            self._count(moves)
        return Difference(moves)

    def _count(self, moves: list[tuple[Prefix, Told | None, Told | None]]) -> None:
        for prefix, before, after in moves:
            family = family_of(prefix)
            if before is not None:
                self._counts[before[1], family] -= 1
                if not self._counts[before[1], family]:
                    del self._counts[before[1], family]  # nodes come and go with new addresses
                self._total[family] -= 1
            if after is not None:
                self._counts[after[1], family] += 1
                self._total[family] += 1

    def told(self) -> dict[Prefix, Told]:
        """Return all that is told: a copy, while there are members to whom it changes."""
        return dict(self._told) if self.members else self._told

    def told_of(self, prefix: Prefix) -> Told | None:
        """Return what is told of a prefix."""
        return self._told.get(prefix)

    def compared(self, before: dict[Prefix, Told], prefixes: Iterable[Prefix]) -> Difference:
        """Return what differs, for these prefixes, from what was told before."""
        pairs = ((prefix, before.get(prefix), self._told.get(prefix)) for prefix in prefixes)
        return Difference([(prefix, old, new) for prefix, old, new in pairs if old != new])

    def whole(self, peer: str) -> Announced:
        """Return all that a member hears: the same tuple for all that announce nothing themselves, and for the others
        at least the same prefixes."""
        if any(self._counts[peer, family] for family in Family):
            if self._by_source is None:
                self._by_source = self._split_by_source()
            return tuple(pair for source, pair in self._by_source if source != peer)
        if self._whole is None:
            self._whole = by_attributes(self.heard(peer))
        return self._whole

    def _split_by_source(self) -> list[tuple[str, tuple[Attributes, tuple[Prefix, ...]]]]:
        by_told = parted(self._told.items())
        return [(source, (attributes, tuple(prefixes))) for (attributes, source), prefixes in by_told.items()]

    def prefixes(self) -> list[Prefix]:
        """Return all prefixes that some member hears."""
        return list(self._told)

    def heard(self, peer: str, prefixes: Iterable[Prefix] | None = None) -> dict[Prefix, Attributes]:
        """Return all that a member hears, or what it hears of these prefixes."""
        told = self._told
        rows = told.items() if prefixes is None else [(each, told[each]) for each in prefixes if each in told]
        return {prefix: attributes for prefix, (attributes, source) in rows if source != peer}

    def count(self, peer: str, family: Family) -> int:
        """Return how many prefixes of a family a member hears."""
        return self._total[family] - self._counts[peer, family]


def by_attributes(heard: dict[Prefix, Attributes]) -> Announced:
    """Return announcements as messages carry them."""
    return _paired(parted(heard.items()))


def _paired(announced: dict[Attributes, list[Prefix]]) -> Announced:
    return tuple((attributes, tuple(prefixes)) for attributes, prefixes in announced.items())
