"""Where the log's lines become events: a processor of structlog, before any of them is held back or filtered."""

from __future__ import annotations

import logging

import structlog
from structlog.typing import EventDict, WrappedLogger

from routerd.telemetry.bus import Bus

LEAST = logging.INFO
"""The least level of an event; what is below is for debugging routerd itself."""


class Tap:
    """Tells the bus what is logged, and passes on what is of the log's own level, at `least`."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.least = LEAST

    def __call__(self, _logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Tell an event; drop it if the log is not to have it."""
        level = logging.ERROR if method == "exception" else logging.getLevelName(method.upper())
        if level >= LEAST:
            fields = {name: value for name, value in event.items() if name not in ("event", "exc_info")}
            self._bus.tell(logging.getLevelName(level).lower(), str(event.get("event")), fields)
        if level < self.least:
            raise structlog.DropEvent
        return event
