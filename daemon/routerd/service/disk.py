"""What is done to a disk, which may never answer: one thing after the other, and nobody's end waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from routerd.detached import PATIENCE, detached

T = TypeVar("T")


class Disk:
    """Does what blocks, detached. Whoever is cancelled leaves what was begun to its thread, and what comes next waits
    for that."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._begun: float | None = None

    def late(self, now: float) -> float:
        """Return for how many seconds something has taken too long; 0 if nothing has. `now` is monotonic."""
        begun = self._begun
        return 0.0 if begun is None or now - begun < PATIENCE else now - begun

    async def do(self, work: Callable[[], T]) -> T:
        """Return what `work` returns; raise what it raises."""

        def run() -> T:
            with self._turn:
                self._begun = time.monotonic()
                try:
                    return work()
                finally:
                    self._begun = None

        return await detached(run)
