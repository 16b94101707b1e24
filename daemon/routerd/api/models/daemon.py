"""The daemon itself: its log, its events, its version."""

from __future__ import annotations

from typing import TypedDict


class LogView(TypedDict):
    """The log, as it is now."""

    level: str
    """The least level that it has: debug, info, warning or error."""
    changed: bool
    """False if there was nothing to do."""


class EventView(TypedDict):
    """One event; what it is about stands in fields of its own beside these."""

    boot: str
    """The run of the daemon that told it: numbers of another run mean nothing."""
    sequence: int
    time: str
    """RFC 3339, in UTC."""
    level: str
    event: str


class VersionView(TypedDict):
    """`GET /v1/version`."""

    routerd: str
    exabgp: str
    python: str
    kernel: str
