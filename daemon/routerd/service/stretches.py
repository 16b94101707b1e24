"""How long the event loop does not look around: what takes long at a stretch has all else wait for it."""

from __future__ import annotations

import asyncio
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
        self._answered: float | None = None
        self._started = False

    @property
    def lasted(self) -> float:
        """Seconds of the present stretch: who works in slices ends its own when all together are too long."""
        return 0.0 if self._answered is None else time.monotonic() - self._answered

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Return what is ready; the stretch since the last answer ends."""
        if self._started:
            self.histogram.add(self.lasted)
        self._started = self._answered is not None
        try:
            return super().select(timeout)
        finally:
            self._answered = time.monotonic()

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return an event loop on this selector."""
        return asyncio.SelectorEventLoop(self)
