"""For how long a daemon's event loop was busy at a stretch, if the daemon says so itself.

Each stage notes it at its end; the runner takes the note after the work and shows it beside the figures.
"""

from __future__ import annotations

from benchmarks.contenders.contender import Contender

_noted: list[float] = []


def note(contender: Contender) -> None:
    """Remember the longest stretch of a daemon that is still running."""
    found = contender.stretches()
    if found is not None:
        _noted.append(found.longest)


def taken() -> str:
    """Return the longest stretch noted since the last call, for people; "" without one."""
    text = f", event loop busy for {1000 * max(_noted):.1f} ms at most" if _noted else ""
    _noted.clear()
    return text
