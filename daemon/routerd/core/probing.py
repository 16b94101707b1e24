"""When the gateways are probed: each time while they answer, less and less often while they are silent."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from routerd.core.message import Gateway

LONGEST = 30.0
"""Seconds between two probes of a silent gateway at most: one is a handful of broadcasts on its link."""


class Schedule:
    """`interval` is the seconds between two rounds, in each of which the gateways that are not silent are probed."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._next: dict[Gateway, tuple[float, float]] = {}
        """When a silent gateway is probed again, and how long it waits after that."""

    def due(
        self, watched: Iterable[Gateway], silent: Collection[Gateway], heard: Collection[Gateway], now: float
    ) -> list[Gateway]:
        """Return which of the gateways to probe in the round that begins `now`.

        `heard` are silent ones that have just sent something themselves: they are probed at once.
        """
        before, self._next = self._next, {}
        found: list[Gateway] = []
        for gateway in watched:
            if gateway in silent and gateway not in heard:
                at, pause = before.get(gateway, (now, self._interval))
                if now < at - self._interval / 2:  # rounds are not exactly an interval apart
                    self._next[gateway] = (at, pause)
                    continue
                self._next[gateway] = (now + pause, max(self._interval, min(2 * pause, LONGEST)))
            found.append(gateway)
        return found
