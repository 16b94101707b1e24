"""The log's limit on repeated lines: a processor of structlog, which drops what repeats and says later how often."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import structlog
from structlog.typing import EventDict, WrappedLogger

from routerd.telemetry.ratelimit import RateLimiter

INTERVAL = 10.0
"""Seconds."""
BURST = 10
"""Lines of the same event about the same thing that pass in an interval."""
EVENT_BURST = 100
"""Lines of the same event, whatever it is about."""
MAX_KINDS = 1024

SUBJECTS = ("peer", "address", "gateway", "interface", "where", "name", "line")
"""Fields that tell what a line is about. The others are circumstances: a time, a count."""

_REPEATED = "repeated"
"""The event that says how often another one was: it is never held back itself."""

Kind = tuple[str, str, str]
"""Level, event and subject; the subject is empty for all of an event together."""


class Repeats:
    """Drops lines beyond the limit. `flush` says how many, when an interval is over; every line does so too.

    Lines come from any thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._subjects: RateLimiter[Kind] = RateLimiter(BURST, INTERVAL, MAX_KINDS)
        self._events: RateLimiter[Kind] = RateLimiter(EVENT_BURST, INTERVAL, MAX_KINDS)
        self._lock = threading.Lock()

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Let a line pass, or drop it."""
        said = str(event.get("event"))
        if said == _REPEATED:
            return event
        self.flush()
        subject = " ".join(f"{key}={str(event[key])[:80]}" for key in SUBJECTS if key in event)
        if not self._passes(method, said, subject):
            raise structlog.DropEvent
        return event

    def _passes(self, level: str, said: str, subject: str) -> bool:
        now = self._clock()
        with self._lock:
            return self._subjects.passes((level, said, subject), now) and self._events.passes((level, said, ""), now)

    def flush(self, *, all_of_them: bool = False) -> None:
        """Say how often the lines were repeated whose interval is over, or all of them at the end."""
        now = math.inf if all_of_them else self._clock()
        with self._lock:
            held = [*self._subjects.over(now), *self._events.over(now)]
        for kind, count in held:
            level, said, subject = kind or ("warning", "lines about many things", "")
            about = {"about": subject} if subject else {}
            getattr(structlog.get_logger(), level)(_REPEATED, what=said, times=count, **about)
