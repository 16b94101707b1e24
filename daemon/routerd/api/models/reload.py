"""The configuration while it runs: changes, and which ones ran."""

from __future__ import annotations

from typing import TypedDict

from routerd.api.models.forecast import ForecastView


class ChangeView(TypedDict):
    """A key of the configuration that differs; a peer is named by its address, a range by its prefix."""

    key: str
    before: str
    after: str
    """As the file has it, more or less; empty where there is nothing. A password is hidden."""
    impact: str
    """`live`, `session reset` or `restart`."""
    why: str
    """The reason, or what else the change does; may be empty."""


class ResetView(TypedDict):
    """A session that is reset by a change."""

    peer: str
    keys: list[str]
    """Those that are the reason; `peers` if the peer does not belong to the configuration any more."""


class ReloadView(TypedDict):
    """What a change of the configuration does."""

    files: list[str]
    applied: bool
    """False if it was only asked what would change."""
    changes: list[ChangeView]
    resets: list[ResetView]
    forecast: ForecastView | None
    """None if nothing changes, if it is not known (`unforeseen`), or if the change was taken back."""
    unforeseen: str
    """Why what a change does is not known; empty if it is."""
    confirm_seconds: float | None
    """When the running configuration is taken back unless it is confirmed; None if it is to stay."""


class CheckView(TypedDict):
    """A file that routerd would start with, and what is doubtful about it here and now."""

    warnings: list[str]
    """A line each, with its place in the file."""


class HistoryView(TypedDict):
    """A configuration that ran."""

    number: int
    time: float
    """In seconds since 1970."""
    by: str
    confirmed: bool
    changes: list[ChangeView]
    """Its differences to the one before, if that is kept and can still be read."""
