"""Which configuration is asked for: a file, or one of the journal, read and checked."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from routerd.config.load import validated
from routerd.config.model import Config
from routerd.config.source import ConfigError, Sources, read
from routerd.service.journal import Entry, digest
from routerd.service.unusable import is_same


class Wanted(NamedTuple):
    """Files, what they say, and what tells the daemon's own ones from others (`digest`)."""

    sources: Sources
    config: Config
    own: str


def asked_for(own: Path, path: str | None) -> Wanted:
    """Read and check a file, the daemon's own one unless a path is given; ConfigError if it cannot be used."""
    same = path is None or is_same(own, path)
    sources = read(own if same else Path(path or ""))
    return Wanted(sources, validated(sources), digest(sources.files) if same else digest_of(own))


def kept(entry: Entry, own: Path) -> Wanted:
    """Return what is kept in the journal; ConfigError if this version cannot use it."""
    sources = Sources(entry.sources())
    return Wanted(sources, validated(sources), digest_of(own))


def digest_of(own: Path) -> str:
    """Return what tells the daemon's own file from another; empty if it cannot be read."""
    try:
        return digest(read(own).files)
    except ConfigError:
        return ""
