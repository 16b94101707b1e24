"""An event for one task, which can have that task go on at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any


class _Waiting(asyncio.Future[None]):
    """What a task awaits; `go_on` calls what the event loop would call in its next turn."""

    _resume: Callable[[Any], object]
    _context: Context

    def add_done_callback(self, fn: Callable[[Any], object], /, *, context: Context | None = None) -> None:
        """Remember how the task goes on: this is what it tells whatever it awaits."""
        self._resume, self._context = fn, context or copy_context()
        super().add_done_callback(fn, context=context)

    def go_on(self) -> None:
        """Have the task go on until it awaits something again."""
        self.remove_done_callback(self._resume)
        self.set_result(None)
        self._context.run(self._resume, self)


class Bell:
    """As an `asyncio.Event` for a single task, which clears it by waiting. `ring` sets it as well, and returns when
    whoever waited has gone on as far as it goes: another turn of the event loop takes a tenth of a millisecond. No
    task may be running meanwhile: it is for what the event loop calls by itself.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: _Waiting | None = None

    def set(self) -> None:
        """Whoever waits goes on in the next turn of the event loop."""
        self._is_set = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def ring(self) -> None:
        """Whoever waits goes on now."""
        self._is_set = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.go_on()

    async def wait(self) -> None:
        """Wait until it is set; it is not any more then."""
        if not self._is_set:
            self._waiting = _Waiting()
            try:
                await self._waiting
            finally:
                self._waiting = None
        self._is_set = False
