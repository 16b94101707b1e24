"""A change of the configuration that waits to be confirmed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from routerd.config.model import Config


class Trial:
    """In force for some seconds, after which `expired` is called, unless it was ended. `before` is what it is taken
    back to."""

    def __init__(self, before: Config, seconds: float, expired: Callable[[Trial], None]) -> None:
        self.before = before
        self._until = time.monotonic() + seconds
        self._timer = asyncio.get_running_loop().call_later(seconds, expired, self)

    @property
    def left(self) -> float:
        """Seconds until it is taken back."""
        return max(0.0, self._until - time.monotonic())

    def end(self) -> None:
        """It was confirmed, or is taken back before its time."""
        self._timer.cancel()
