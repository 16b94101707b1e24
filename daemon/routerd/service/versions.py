"""Versions of routerd and of what it stands on."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import version as installed_version

from routerd import __version__
from routerd.api.models import VersionView


@cache
def versions() -> VersionView:
    """Return them; they do not change while the daemon runs."""
    return VersionView(
        routerd=__version__,
        exabgp=installed_version("exabgp"),
        python=platform.python_version(),
        kernel=platform.release(),
    )
