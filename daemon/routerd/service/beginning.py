"""With which configuration routerd begins: that of its file, or what the journal says."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from routerd.config.load import validated
from routerd.config.model import Config
from routerd.config.source import ConfigError, Sources, read
from routerd.service.journal import Entry, Journal, digest

log = structlog.get_logger()

_PLACE = re.compile(r"\S+?:\d+(?=: )")


class Beginning(NamedTuple):
    """The configuration to begin with. `differs` says why it is not what the file says; empty if it is."""

    config: Config
    differs: str


def begin(path: Path, journal: Journal) -> Beginning:
    """Return what to begin with, and note it in the journal.

    That is the file, unless it says just what it said when it was taken back, or never confirmed, or when another
    file took its place: then what was confirmed last goes on. So it does when the file cannot be used; ConfigError
    if there is nothing else.
    """
    if journal.unread:
        log.error("the history is lost", reason=journal.unread)
    kept = next(reversed(journal.confirmed), None)
    why = "" if kept is None else f"put in force by {kept.by}, and the file says nothing new"
    if journal.entries and not journal.entries[-1].confirmed:
        why = "it was not confirmed"
        _stored(journal, journal.drop)
    try:
        sources = read(path)
        own, config = digest(sources.files), validated(sources)
    except ConfigError as error:
        if kept is None:
            raise
        why = f"{path} cannot be used, and what was confirmed last goes on: routerd check {path}{_place(error)}"
        return _kept(kept, why, error)
    if kept is not None and own == journal.own:
        if own == journal.running:
            return Beginning(config, "")
        try:
            return _kept(kept, f"configuration {kept.number} runs, not {path}: {why}", None)
        except ConfigError as error:
            log.warning("what was confirmed last is none of this version", number=kept.number, place=_place(error))
    _stored(journal, lambda: journal.add(sources.files, own, time.time(), "the start", confirmed=True, done=True))
    return Beginning(config, "")


def _kept(entry: Entry, differs: str, error: ConfigError | None) -> Beginning:
    """Go on with what the journal has; the error of the file, if it has one, where that is of no use either."""
    try:
        config = validated(Sources(entry.sources()))
    except ConfigError as other:
        raise error or other from other
    log.warning("not the configuration of the file", reason=differs)
    return Beginning(config, differs)


def _place(error: ConfigError) -> str:
    """Return where the first mistake is. Not what is written there: what is told leaves the router."""
    found = _PLACE.match(error.problems[0])
    return f" ({found[0]})" if found else ""


def _stored(journal: Journal, change: Callable[[], None]) -> None:
    try:
        change()
    except OSError as refused:
        log.error("the journal cannot be written", path=str(journal.path), reason=refused.strerror)
