"""Keeps what watches the host going: an error that nobody thought of is told, and ends neither it nor the daemon."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

FIRST, LAST = 1.0, 60.0
"""Seconds until a watcher that failed begins anew; doubled each time, until it has gone on for the longer of them."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Failure:
    """How often a watcher has failed, when it did last, in monotonic seconds, and the error in a line."""

    count: int
    last: float
    text: str


class Watchers:
    """`missed()` is called when one of them has been away: what it should have noticed is to be read anew.

    What breaks the core is none of their errors: the engine ends the daemon for it.
    """

    def __init__(self, missed: Callable[[], None]) -> None:
        self._missed = missed
        self.failures: dict[str, Failure] = {}
        """By what watches."""

    async def keep(self, what: str, watch: Callable[[], Awaitable[None]]) -> None:
        """Run a watcher, and again when it fails, until it has nothing more to watch."""
        delay = FIRST
        while True:
            began = time.monotonic()
            try:
                await watch()
            except Exception as error:  # noqa: BLE001 - whatever it is
                if time.monotonic() - began > LAST:
                    delay = FIRST
                self.failed(what, error, again_in=delay)
            else:
                return
            await asyncio.sleep(delay)
            delay = min(2 * delay, LAST)
            self._missed()

    def failed(self, what: str, error: BaseException, again_in: float = 0.0) -> None:
        """Tell of an error of what goes on at once, or in so many seconds."""
        known = self.failures.get(what)
        failure = Failure(known.count + 1 if known else 1, time.monotonic(), f"{type(error).__name__}: {error}")
        self.failures[what] = failure
        log.error(
            "watcher failed",
            watcher=what,
            reason=failure.text,
            again_in=again_in,
            remedy="it goes on by itself; routerd status says more",
            exc_info=error,
        )

    def unhandled(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What asyncio tells of an error in a callback, or of its own: its exception handler.

        It may be called by a destructor, in whatever thread, in the middle of a line of the log: it is told later.
        """
        error = context.get("exception") or RuntimeError(context["message"])
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self.failed, "event loop", error)
