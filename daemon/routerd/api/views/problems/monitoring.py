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


def incomplete(kind: str, lost: int) -> Iterator[ProblemView]:
    """Records that a file of dumps should have could not be written; a problem beside that of now."""
    yield ProblemView(
        where=f"mrt {kind}: records",
        what=f"{lost} records are missing in the file of now: the disk was full, failed, or took them too slowly",
        remedy="make room there, or take a faster disk; the next file begins without this, /v1/dump has the table",
    )


def lost_collector(name: str, where: str, reason: str, again: float) -> Iterator[ProblemView]:
    """There is no session with a BMP collector, for this reason; it is dialled again in so many seconds."""
    yield ProblemView(
        where=f"bmp {name}",
        what=f"no session with {where}: {reason}; next try in {again:.0f} s",
        remedy="see whether the collector runs, and takes what it is sent; or remove its [[bmp]], routerd reload",
    )


def no_looking_glass(reason: str) -> Iterator[ProblemView]:
    """The looking glass does not listen, for this reason."""
    yield ProblemView(
        where="looking glass",
        what=f"nobody can ask it: {reason}",
        remedy="bring the address up, or end what has the port: it is tried again every few seconds",
    )
