"""Which groups are to be read, and when: a bounded number of buckets at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from routerd.core.deadlines import Deadlines
from routerd.core.fib.model import Group

BUCKETS = 4096
"""Buckets that are read at a time, about."""


class Reading:
    """Groups by id: those that are to be read `soon`, those that are `at` a time, and those that are once the partner
    has spoken. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._soon: dict[int, None] = {}
        self._at = Deadlines[int]()
        self._waiting: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._soon)

    def soon(self, ids: Iterable[int]) -> None:
        """Read these when it is their turn."""
        self._soon.update(dict.fromkeys(ids))

    def at(self, id: int, time: float | None) -> None:
        """Read this one then; None: not for the time being."""
        self._at.set(id, time)

    def is_planned(self, id: int) -> bool:
        """Tell whether this one is to be read at a time."""
        return id in self._at

    def wait(self, id: int) -> None:
        """Read this one once the partner has spoken of it, or has said all."""
        self._waiting.add(id)

    def heard(self, id: int) -> bool:
        """The partner has spoken of a group; tell whether that was waited for."""
        waited = id in self._waiting
        self._waiting.discard(id)
        return waited

    def heard_all(self) -> None:
        """The partner has said all, or cannot be heard."""
        self.soon(sorted(self._waiting))
        self._waiting.clear()

    def forget(self, id: int) -> None:
        """A group is gone."""
        self._soon.pop(id, None)
        self._waiting.discard(id)
        self._at.set(id, None)

    def some(self, groups: Mapping[int, Group], now: float) -> tuple[int, ...]:
        """Return those whose turn it is."""
        self.soon(self._at.due(now))
        ids, room = list[int](), BUCKETS
        for id in self._soon:
            if room <= 0:
                break
            ids.append(id)
            room -= 0 if (group := groups.get(id)) is None else group.buckets
        for id in ids:
            del self._soon[id]
        return tuple(ids)

    @property
    def next(self) -> float | None:
        """When the next one is to be read that is to be at a time."""
        return self._at.next
