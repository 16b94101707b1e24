"""How long the event loop does not look around: what takes long at a stretch has all else wait for it."""

from __future__ import annotations

import asyncio
import math
import selectors
import time
from selectors import SelectorKey

from routerd.core.histogram import Histogram

BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds. Nothing shall take longer than 20 ms at a stretch."""


class Stretches(selectors.EpollSelector):
    """The event loop's selector, which knows when it is asked and when it answers. `histogram` counts seconds.

    The first stretch is not counted: it is the start, before which nobody can dial in or ask.
    """

    def __init__(self) -> None:
        super().__init__()
        self.histogram = Histogram(BOUNDS)
        self.began = math.inf
        """When the present stretch began, in monotonic seconds: who works in slices ends its own when all together
        are too long."""
        self._started = False

    def lasted(self) -> float:
        """Return the seconds of the present stretch."""
        return max(0.0, time.monotonic() - self.began)

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Return what is ready; the stretch since the last answer ends."""
        if self._started:
            self.histogram.add(time.monotonic() - self.began)
        self._started = self.began < math.inf
        try:
            return super().select(timeout)
        finally:
            self.began = time.monotonic()

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return an event loop on this selector."""
        return asyncio.SelectorEventLoop(self)
