"""Files that must outlive routerd: replaced at once, and on the disk before anybody is told so."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, text: str, mode: int = 0o640) -> None:
    """Replace a file at once, and have both the octets and the name on the disk; OSError if that cannot be done."""
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


def set_aside(path: Path) -> str:
    """Keep a damaged file under another name; return what has become of it."""
    aside = path.with_suffix(".damaged")
    try:
        path.replace(aside)
    except OSError as error:
        return f"it stays there, as {aside} cannot be made: {error.strerror}"
    return f"it is kept as {aside}"
