"""Whose turn it is among the processes that run tests side by side: a test that measures time runs alone.

Every test holds `flock(2)` on one file while it runs, shared, or exclusive if it is marked `alone`. A second file is
the door: who waits for all others to end holds it, so that no newcomer slips in before.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(directory: Path, *, alone: bool) -> Iterator[None]:
    """Wait until this test may run, and keep the others waiting until the block ends if it runs `alone`."""
    with (directory / "running").open("w") as running, (directory / "door").open("w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(running, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield
