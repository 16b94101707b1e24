"""The key that requests and answers are signed with: the first line of a file, which only its users may read."""

from __future__ import annotations

import errno
import os
from pathlib import Path

LEAST = 16
"""Octets of a key, at least."""
_OTHERS = 0o007


def read(path: str) -> bytes:
    """Return the key of a file; ValueError, with what to do, if there is none, or if anybody may read it."""
    try:
        text = Path(path).read_bytes()
        mode = os.stat(path).st_mode
    except PermissionError as error:
        remedy = f"chgrp routerd {path}; chmod 0640 {path}"
        raise ValueError(f"{path}: {error.strerror}; let routerd's user read it: {remedy}") from error
    except OSError as error:
        remedy = "openssl rand -hex 32 makes one" if error.errno == errno.ENOENT else "let routerd's user read it"
        raise ValueError(f"{path}: {error.strerror}; {remedy}") from error
    if mode & _OTHERS:
        raise ValueError(f"{path} is open to everybody on this machine: chmod o= {path}")
    key = text.partition(b"\n")[0].strip()
    if len(key) < LEAST:
        raise ValueError(
            f"{path}: its first line is the key, {LEAST} octets at least, and has {len(key)}: openssl rand -hex 32"
        )
    return key
