"""Versions of routerd and of what it stands on."""

from __future__ import annotations

import platform
from functools import cache

from routerd import __version__
from routerd.api.models import VersionView
from routerd.session.release import EXABGP


@cache
def versions() -> VersionView:
    """Return them; they do not change while the daemon runs."""
    return VersionView(
        routerd=__version__,
        exabgp=EXABGP,
        python=platform.python_version(),
        kernel=platform.release(),
    )
