"""The history of the configuration as the API shows it, made of the journal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from routerd.api.models import HistoryView
from routerd.api.views import reload as views
from routerd.config.diff import changes
from routerd.config.load import validated
from routerd.config.model import Config
from routerd.config.source import ConfigError, Sources
from routerd.service.journal import Entry


def history(entries: Iterable[Entry]) -> list[HistoryView]:
    """Return what ran, the newest first, each with its difference to the one before."""
    found: list[HistoryView] = []
    before: Config | None = None
    for entry in entries:
        config: Config | None = None
        with contextlib.suppress(ConfigError):  # one of another version of routerd
            config = validated(Sources(entry.sources()))
        differences = [] if before is None or config is None else changes(before, config)
        found.append(
            HistoryView(
                number=entry.number,
                time=entry.time,
                by=entry.by,
                confirmed=entry.confirmed,
                changes=[views.change(each) for each in differences],
            )
        )
        before = config
    return found[::-1]
