"""Whoever is about to move buckets asks the partner first how they are there: a number of groups at a time."""

from __future__ import annotations

from itertools import islice

MOST = 64
"""Groups of one Ask."""
PATIENCE = 5.0
"""Seconds until others have their turn. What is known from before will not do: who does not answer may have flows in
each bucket, and be about to lose its traffic to this router."""


class Asking:
    """The groups that the partner is to be asked about, and those about which it has been, by id."""

    def __init__(self) -> None:
        self._waiting: dict[int, None] = {}
        self._asked: dict[int, None] = {}
        self._until = 0.0
        self.number = 0

    def add(self, id: int) -> None:
        """Ask about this group, next time."""
        self._waiting[id] = None

    def begin(self, now: float) -> list[int]:
        """Return the groups that are to be asked about now, by the number `number`."""
        if self._asked or not self._waiting:
            return []
        self._asked = dict.fromkeys(islice(self._waiting, MOST))
        for id in self._asked:
            del self._waiting[id]
        self.number += 1
        self._until = now + PATIENCE
        return list(self._asked)

    def answered(self, id: int, number: int | None = None) -> bool:
        """Tell whether this is an answer that is waited for; `number` is that of the Ask, if it is known."""
        if id not in self._asked or number not in (None, self.number):
            return False
        del self._asked[id]
        return True

    def spare(self, id: int) -> bool:
        """The partner has spoken of a group by itself; tell whether it was about to be asked."""
        return self._waiting.pop(id, self) is None

    def late(self, now: float) -> list[int]:
        """Return the groups for whose answer nobody waits any longer: they are to be asked about again."""
        if now < self._until:
            return []
        late, self._asked = list(self._asked), {}
        return late

    def __contains__(self, id: int) -> bool:
        """Whether a group is to be asked about, or has been."""
        return id in self._waiting or id in self._asked

    def forget(self, id: int) -> None:
        """A group is gone."""
        self._waiting.pop(id, None)
        self._asked.pop(id, None)

    def clear(self) -> list[int]:
        """Nobody is there to be asked: return the groups that were to be."""
        left = [*self._waiting, *self._asked]
        self._waiting, self._asked = {}, {}
        return left

    @property
    def due(self) -> float | None:
        """When there is something to do; a time that is past: at once."""
        return self._until if self._asked else 0.0 if self._waiting else None
