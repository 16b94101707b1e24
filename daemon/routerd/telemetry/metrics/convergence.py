"""How long it takes from a message to the kernel. One message is followed at a time: that costs next to nothing.

Followed is the last prefix of an UPDATE: until what it wants is planned, and until all that was to be written by then
is acknowledged by the kernel. What changes no route is not counted.
"""

from __future__ import annotations

from collections.abc import Callable

from routerd.core.histogram import Histogram
from routerd.core.route import Prefix

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""
PATIENCE = 30.0
"""Seconds after which a prefix that still waits, as for nodes after a restart, is counted and let go."""


class Convergence:
    """`waits` tells whether a prefix wants something that is not planned yet. Times are monotonic seconds."""

    def __init__(self, waits: Callable[[Prefix], bool]) -> None:
        self.histogram = Histogram(BOUNDS)
        self._waits = waits
        self._prefix: Prefix | None = None
        self._heard = 0.0
        self._added = 0
        self._before = 0
        """How much had been added when the message was heard."""
        self._target: int | None = None
        """How much has to be written until the kernel has all that was planned for the prefix."""

    def heard(self, prefix: Prefix, now: float) -> None:
        """A message was taken in; it is followed if no other one is."""
        if self._prefix is None:
            self._prefix, self._heard, self._before, self._target = prefix, now, self._added, None

    def handled(self, added: int, unwritten: int, now: float) -> None:
        """So much more is to be written since the last time, and so much is not written yet, in all."""
        self._added += added
        if self._prefix is None:
            return
        if self._target is None:
            if self._waits(self._prefix):
                if now - self._heard > PATIENCE:
                    self._end(now)
                return
            if self._added == self._before:
                self._prefix = None
                return
            self._target = self._added
        if self._added - unwritten >= self._target:
            self._end(now)

    def _end(self, now: float) -> None:
        self.histogram.add(now - self._heard)
        self._prefix = None
