"""The files of dumps: how they are called, and which of them stay. Blocking; for a thread."""

from __future__ import annotations

import contextlib
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

TABLE, UPDATES = "rib", "updates"
_NAME = r"{}\.\d{{8}}\.\d{{6}}\.mrt"
_UNFINISHED = ".part"


def name(kind: str, time: float) -> str:
    """Return what a file is called that begins at a time (seconds since 1970): `rib.20260131.140000.mrt`, in UTC."""
    return f"{kind}.{datetime.fromtimestamp(time, UTC):%Y%m%d.%H%M%S}.mrt"


class TableFile:
    """A table dump while it is made: under its name only once it is whole. Errors are OSError."""

    def __init__(self, directory: Path, time: float) -> None:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        self.path = directory / name(TABLE, time)
        self._scratch = self.path.with_name(self.path.name + _UNFINISHED)
        self._file: BinaryIO = self._scratch.open("wb")

    def write(self, octets: bytes) -> None:
        """Append records."""
        self._file.write(octets)

    def finish(self) -> None:
        """It is whole, and on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._scratch.replace(self.path)

    def abandon(self) -> None:
        """It will not be whole."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._scratch.unlink()


def append(directory: Path, time: float, octets: bytes) -> None:
    """Append records to the file of updates that began at a time; OSError, and none of them is there."""
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    descriptor = os.open(
        directory / name(UPDATES, time), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640
    )
    try:
        begin, left = os.fstat(descriptor).st_size, memoryview(octets)
        try:
            while left:
                left = left[os.write(descriptor, left) :]
        except OSError:
            os.ftruncate(descriptor, begin)  # a record that is cut short would spoil all that follow
            raise
    finally:
        os.close(descriptor)


def tidy(directory: Path, kind: str, keep: int, time: float) -> None:
    """Remove the oldest files of a kind but for the last `keep`, and what an earlier life left half made; OSError if
    that cannot be done.

    The newest is the one that began at a time; what has a later name is from a clock that was ahead, and goes first.
    """
    whole, newest = re.compile(_NAME.format(kind)), name(kind, time)
    names = sorted(each.name for each in directory.iterdir())
    ours = sorted((each for each in names if whole.fullmatch(each)), key=lambda each: (each <= newest, each))
    spoilt = [each for each in names if kind == TABLE and whole.fullmatch(each.removesuffix(_UNFINISHED))]
    for each in [*(ours[:-keep] if keep else ()), *(each for each in spoilt if each.endswith(_UNFINISHED))]:
        (directory / each).unlink(missing_ok=True)
