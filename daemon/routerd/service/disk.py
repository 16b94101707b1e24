"""What is done to a disk, which may never answer: one thing after the other, and nobody's end waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE = 10.0
"""Seconds after which a disk is said not to answer."""

T = TypeVar("T")


class Disk:
    """Does what blocks in threads that the process does not wait for when it ends. Whoever is cancelled leaves what
    was begun to its thread, and what comes next waits for that."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._begun: float | None = None

    def late(self, now: float) -> float:
        """Return for how many seconds something has taken too long; 0 if nothing has. `now` is monotonic."""
        begun = self._begun
        return 0.0 if begun is None or now - begun < PATIENCE else now - begun

    async def do(self, work: Callable[[], T]) -> T:
        """Return what `work` returns; raise what it raises."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]

        def run() -> None:
            result, failed = None, None
            with self._turn:
                self._begun = time.monotonic()
                try:
                    result = work()
                except BaseException as error:  # noqa: BLE001 - for whoever waits
                    failed = error
                self._begun = None
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(settle, result, failed)

        threading.Thread(target=run, name="disk", daemon=True).start()
        return await done
