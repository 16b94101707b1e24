"""Files that must outlive routerd: replaced at once, and on the disk before anybody is told so."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

LARGEST = 256 << 20
"""Octets that a file is read of."""


def read(path: Path) -> bytes:
    """Return what is in a file; OSError if it cannot be read, or is none: nobody waits for a pipe's other end."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise _no_file()
        return file.read(LARGEST)


def write(path: Path, text: str, mode: int = 0o640) -> None:
    """Replace a file at once, and have both the octets and the name on the disk; OSError if that cannot be done, or
    if it is something else: a device must not become a file."""
    if path.exists() and not path.is_file():
        raise _no_file()
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    scratch = path.with_suffix(".new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with open(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, mode)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    scratch.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _no_file() -> OSError:
    return OSError(errno.EINVAL, "it is no regular file")


def set_aside(path: Path) -> str:
    """Keep a damaged file under another name; return what has become of it."""
    aside = path.with_suffix(".damaged")
    try:
        path.replace(aside)
    except OSError as error:
        return f"it stays there, as {aside} cannot be made: {error.strerror}"
    return f"it is kept as {aside}"
