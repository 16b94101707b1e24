"""Structured logging to standard error: lines for a terminal, priorities for the journal, JSON for programs."""

from __future__ import annotations

import logging
import os
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from routerd.telemetry.bus import Bus
from routerd.telemetry.repeats import Repeats
from routerd.telemetry.sink import Sink
from routerd.telemetry.tap import LEAST, Tap

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("console", "journal", "json", "auto")
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""syslog(3), as sd-daemon(3) puts it in front of a line."""
_STDERR = 2

sink = Sink(_STDERR)

repeats = Repeats()

bus = Bus()


def configure(level: str = "info", style: str = "auto") -> None:
    """Set up structlog. `style` is `console`, `journal`, `json`, or `auto`: what suits where standard error leads."""
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    ends: dict[str, list[Processor]] = {
        "console": [
            stamp,
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=_is_terminal()),
        ],
        # The journal has a time for every line.
        "journal": [structlog.processors.format_exc_info, _with_priority],
        "json": [stamp, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
    }
    least = logging.getLevelName(level.upper())
    end = ends[_suitable() if style == "auto" else style]
    structlog.configure(
        processors=[Tap(bus, least), repeats, structlog.processors.add_log_level, *end],
        wrapper_class=structlog.make_filtering_bound_logger(min(least, LEAST)),
        logger_factory=structlog.PrintLoggerFactory(sink),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING, force=True)


def _suitable() -> str:
    if _is_terminal():
        return "console"
    try:
        found = os.fstat(_STDERR)
    except OSError:
        return "json"  # it is closed
    return "journal" if os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}" else "json"


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _with_priority(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Render an event as lines that the journal files under the event's level (sd-daemon(3))."""
    priority = _PRIORITIES[event.pop("level")]
    exception = event.pop("exception", "")
    fields = " ".join(f"{key}={_field(value)}" for key, value in event.items() if key != "event")
    text = f"{event['event']}  {fields}".rstrip() + (f"\n{exception}" if exception else "")
    return "\n".join(f"<{priority}>{line}" for line in text.splitlines())


def _field(value: object) -> str:
    text = str(value)
    return repr(text) if not text or not text.isprintable() or " " in text else text


class _Bridge(logging.Handler):
    """Hands over what libraries log, so that every line of the log has the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or False
        )
