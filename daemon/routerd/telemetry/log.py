"""Structured logging to standard error: lines for a terminal, JSON for a journal."""

from __future__ import annotations

import logging
import sys

import structlog

from routerd.telemetry.repeats import Repeats

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("console", "json", "auto")

repeats = Repeats()


def configure(level: str = "info", style: str = "auto") -> None:
    """Set up structlog. `style` is `console`, `json`, or `auto`: console on a terminal, else JSON."""
    console = style == "console" or (style == "auto" and sys.stderr.isatty())
    renderer = structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            repeats,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Bridge()], level=logging.WARNING, force=True)


class _Bridge(logging.Handler):
    """Hands over what libraries log, so that every line of the log has the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger().log(
            record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info or False
        )
