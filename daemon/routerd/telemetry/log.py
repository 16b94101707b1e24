"""Structured logging: lines for a terminal, fields for the journal, JSON for programs."""

from __future__ import annotations

import logging
import os
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from routerd.telemetry import journald
from routerd.telemetry.bus import Bus
from routerd.telemetry.journald import Journald, datagram
from routerd.telemetry.repeats import Repeats
from routerd.telemetry.sink import Sink
from routerd.telemetry.tap import Tap

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("console", "journal", "json", "auto")
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""syslog(3), as sd-daemon(3) puts it in front of a line."""
_STDERR = 2

sink = Sink(_STDERR)

repeats = Repeats()

bus = Bus()

tap = Tap(bus)


def configure(level: str = "info", style: str = "auto") -> None:
    """Set up structlog. `style` is `console`, `journal`, `json`, or `auto`: what suits where standard error leads."""
    set_level(level)
    structlog.configure(
        processors=[
            tap,
            repeats,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            *_ends(_suitable() if style == "auto" else style),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),  # the level may change
        logger_factory=structlog.PrintLoggerFactory(sink),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING, force=True)


def _ends(style: str) -> list[Processor]:
    if style == "journal":
        return [_Lines(Journald(journald.SOCKET))]  # it has a time for every line
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    if style == "console":
        return [stamp, structlog.dev.ConsoleRenderer(colors=_is_terminal())]
    return [stamp, structlog.processors.JSONRenderer()]


def level() -> str:
    """Return the least level that the log has."""
    return logging.getLevelName(tap.least).lower()


def set_level(level: str) -> None:
    """Change the least level that the log has, one of `LEVELS`, from the next line on."""
    tap.least = logging.getLevelName(level.upper())


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


class _Lines:
    """Hands events to the journal as fields; while it does not take them, returns lines that it files under the
    event's level (sd-daemon(3))."""

    def __init__(self, journald: Journald) -> None:
        self._journald = journald

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> str:
        said, priority = str(event.pop("event")), _PRIORITIES[event.pop("level")]
        fields = " ".join(f"{key}={_field(value)}" for key, value in event.items() if key != "exception")
        text = f"{said}  {fields}".rstrip() + (f"\n{event['exception']}" if "exception" in event else "")
        if self._journald.send(datagram(priority, text, {"event": said, **event})):
            sink.spared()
            raise structlog.DropEvent
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
