"""Which ExaBGP the child runs, without the rest of it."""

from __future__ import annotations

from exabgp.version import release

EXABGP: str = release
