"""One answer for all who wait for it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """What `make` returns. It is made to its end, whoever goes meanwhile. What has been under way for longer than it
    `lasts`, in seconds, is shared no more."""

    def __init__(self, make: Callable[[], Awaitable[T]], lasts: float = math.inf) -> None:
        self._make = make
        self._lasts = lasts
        self._begun = 0.0
        self._making: asyncio.Future[T] | None = None

    async def get(self) -> T:
        """Return what is being made, if something is: all who wait share it."""
        now = time.monotonic()
        if self._making is None or self._making.done() or now - self._begun > self._lasts:
            self._making, self._begun = asyncio.ensure_future(self._make()), now
        return await asyncio.shield(self._making)
