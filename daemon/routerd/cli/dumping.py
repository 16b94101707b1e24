"""`routerd dump`: the table in an MRT file."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from routerd.cli.client import ApiError, Client
from routerd.cli.output import fail, write

_STDOUT = "-"


def show(file: str, socket: str) -> int:
    """Write the table to a file, which is replaced once it is whole; what is no regular file is written as it is, and
    `-` is standard output."""
    special = file == _STDOUT or (os.path.exists(file) and not os.path.isfile(file))
    path = os.path.realpath(file)
    scratch = file if special else f"{path}.part"
    try:
        octets = _store(scratch, Client(socket).download("/v1/dump"))
        if not special:
            os.replace(scratch, path)
    except (ApiError, OSError) as error:
        if not special:
            with contextlib.suppress(OSError):
                os.unlink(scratch)
        told = f"{file} cannot be written: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise fail(ApiError(told), as_json=False) from error
    if not special:
        write(f"{file}: {octets} octets")
    return 0


def _store(path: str, parts: Iterable[bytes]) -> int:
    """Write parts to a new file; return how many octets those are. The file is made once there is an answer."""
    found, octets = iter(parts), 0
    first = next(found, b"")
    with open(1 if path == _STDOUT else path, "wb", closefd=path != _STDOUT) as output:
        octets += output.write(first)
        for part in found:
            octets += output.write(part)
    return octets
