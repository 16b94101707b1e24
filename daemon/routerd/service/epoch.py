"""Monotonic times as times of the clock, for who reads them elsewhere."""

from __future__ import annotations

import time

SET = 0.5
"""Seconds by which the clock has to be off what it was until it counts as set: NTP slews it all the time."""


class Epoch:
    """When the monotonic clock was 0: worked out anew when something is told, for the clock may have been set since
    the start (a router without a battery starts in 1970)."""

    def __init__(self) -> None:
        self._begin = float("-inf")

    def clock(self, monotonic: float) -> float:
        """Return what the clock shows, had it always been right, at a monotonic time; in seconds since 1970."""
        begin = time.time() - time.monotonic()
        if abs(begin - self._begin) > SET:
            self._begin = begin
        return self._begin + monotonic
