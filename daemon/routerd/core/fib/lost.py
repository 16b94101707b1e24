"""What prefixes were in a group that the kernel has deleted with its last member, and have no route any more.

A link that goes down takes its groups along, and perhaps the sessions, and so the prefixes. When they come back soon,
the flows are there still: they get the same group, and its buckets as they were.
"""

from __future__ import annotations

from collections.abc import Iterable

from routerd.core.fib.model import Group
from routerd.core.route import Prefix

KEPT = 300.0
"""Seconds for which that is remembered."""


class Lost:
    """Groups that are gone, by prefix, the longest gone first."""

    def __init__(self) -> None:
        self._of: dict[Prefix, tuple[float, Group]] = {}

    def __bool__(self) -> bool:
        return bool(self._of)

    def note(self, prefix: Prefix, group: Group, now: float) -> None:
        """A prefix leaves a group that is gone."""
        self._of.pop(prefix, None)
        self._of[prefix] = (now, group)

    def take(self, prefixes: Iterable[Prefix]) -> dict[Group, list[Prefix]]:
        """These prefixes are back: return those that had such a group by it, and forget them."""
        found: dict[Group, list[Prefix]] = {}
        for prefix in prefixes:
            if (lost := self._of.pop(prefix, None)) is not None:
                found.setdefault(lost[1], []).append(prefix)
        return found

    def forget(self, now: float) -> None:
        """Forget what was too long ago."""
        while self._of:
            prefix, (time, _) = next(iter(self._of.items()))
            if now - time <= KEPT:
                return
            del self._of[prefix]
