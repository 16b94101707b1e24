"""Problems of who else sees the routes: files that cannot be written, collectors that cannot be reached."""

from __future__ import annotations

from collections.abc import Iterator

from routerd.api.models import ProblemView


def undumped(kind: str, reason: str) -> Iterator[ProblemView]:
    """Dumps of a kind, `rib` or `updates`, are not written."""
    yield ProblemView(
        where=f"mrt {kind}",
        what=f"it is not written: {reason}",
        remedy="make room there, or let routerd's user write it; it is tried again by itself, routing goes on",
    )
