"""The log's limit on repeated lines: a processor of structlog, which drops what repeats and says later how often."""

from __future__ import annotations

import math
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

Kind = tuple[str, str, str]
"""Level, event and subject; the subject is empty for all of an event together."""


class Repeats:
    """Drops lines beyond the limit. `flush` says how many, when an interval is over; every line does so too."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._subjects: RateLimiter[Kind] = RateLimiter(BURST, INTERVAL, MAX_KINDS)
        self._events: RateLimiter[Kind] = RateLimiter(EVENT_BURST, INTERVAL, MAX_KINDS)
        self._flushing = False

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Let a line pass, or drop it."""
        if self._flushing:
            return event
        self.flush()
        now, said = self._clock(), str(event.get("event"))
        subject = " ".join(f"{key}={str(event[key])[:80]}" for key in SUBJECTS if key in event)
        if not self._subjects.passes((method, said, subject), now) or not self._events.passes(
            (method, said, ""), now
        ):
            raise structlog.DropEvent
        return event

    def flush(self, *, all_of_them: bool = False) -> None:
        """Say how often the lines were repeated whose interval is over, or all of them at the end."""
        now = math.inf if all_of_them else self._clock()
        held = [*self._subjects.over(now), *self._events.over(now)]
        if not held:
            return
        self._flushing = True
        try:
            log = structlog.get_logger()
            for kind, count in held:
                level, said, subject = kind or ("warning", "lines about many things", "")
                about = {"about": subject} if subject else {}
                getattr(log, level)("repeated", what=said, times=count, **about)
        finally:
            self._flushing = False
