"""The key that requests and answers are signed with: the first line of a file, which only its users may read."""

from __future__ import annotations

import os
from pathlib import Path

from routerd.config.unreadable import unreadable

LEAST = 16
"""Octets of a key, at least."""
_OTHERS = 0o007


def read(path: str) -> bytes:
    """Return the key of a file; ValueError, with what to do, if there is none, or if anybody may read it."""
    try:
        text = Path(path).read_bytes()
        mode = os.stat(path).st_mode
    except OSError as error:
        remedy = "; openssl rand -hex 32 makes one" if isinstance(error, FileNotFoundError) else ""
        raise ValueError(f"{path}: {unreadable(error, path)}{remedy}") from error
    if mode & _OTHERS:
        raise ValueError(f"{path} is open to everybody on this machine: chmod o= {path}")
    key = text.partition(b"\n")[0].strip()
    if len(key) < LEAST:
        raise ValueError(
            f"{path}: its first line is the key, {LEAST} octets at least, and has {len(key)}: openssl rand -hex 32"
        )
    return key
