"""Files that cannot be used, and who is told of what stands in them."""

from __future__ import annotations

import contextlib
from pathlib import Path

from routerd.api.endpoints import Failure
from routerd.config.source import ConfigError


def unusable(own: Path, path: str | None, error: ConfigError) -> Failure:
    """Return the answer that a file cannot be used. Errors show lines of it: those of any but the daemon's `own` are
    for those alone who may read whatever routerd reads, which may be a key or a token."""
    if path is None or is_same(own, path):
        return Failure(422, str(error))
    brief = f"{path[:200]!r} cannot be used; routerd check {path[:200]}, by root, says why"
    return Failure(422, str(error), brief)


def is_same(own: Path, path: str) -> bool:
    """Tell whether a path is another name of the daemon's own file."""
    with contextlib.suppress(OSError, ValueError):
        return own.samefile(path)
    return False
