"""How answers share the event loop with routing: a slice of one answer at a time, and few while routing is busy."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from weakref import WeakKeyDictionary

RESTS, ALONE = 59, 4
"""How many times as long as a slice of an answer nobody has another one, while routing is busy: at most, and if one
asks; for several by the square of how many they are. A fifth of the time is for the answers of one, a sixtieth for
those of four, or of more."""
AROUND = 0.001
"""Seconds that a turn counts at least: around what it makes there are a connection, a request and what is sent."""
LINGERING = 0.1
"""Seconds that routing counts as busy after it was: what it is to take in comes in bursts."""


class Pace:
    """Turns of those who make answers, first come, first served. `busy` tells whether routing has much to do."""

    def __init__(self) -> None:
        self.busy: Callable[[], bool] = lambda: False
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._taken = False
        self._until = float("-inf")

    async def begin(self) -> None:
        """Wait for a turn; `end` must follow."""
        if not self._taken:
            self._taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._next()  # it was this one's, who has gone
            raise

    def end(self, spent: float) -> None:
        """End a turn that has taken so many seconds."""
        loop = asyncio.get_running_loop()
        if self.busy():
            self._until = loop.time() + LINGERING
        rests = min(RESTS, ALONE * (1 + len(self._waiting)) ** 2) if loop.time() < self._until else 0
        loop.call_later(max(spent, AROUND) * rests, self._next)

    def held_up(self, seconds: float) -> bool:
        """Tell whether routing has come first within so many seconds, be it in a pause now."""
        return self.busy() or asyncio.get_running_loop().time() < self._until + seconds

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False


_paces: WeakKeyDictionary[asyncio.AbstractEventLoop, Pace] = WeakKeyDictionary()


def pace() -> Pace:
    """Return that of the running event loop: there is one for all of its listeners."""
    return _paces.setdefault(asyncio.get_running_loop(), Pace())
