"""Who is at the other end of a Unix socket, as the kernel knows it (SO_PEERCRED, SO_PEERGROUPS; unix(7))."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import pwd
import socket
import struct
from dataclasses import dataclass
from functools import lru_cache, partial

from routerd.detached import detached
from routerd.shared import Shared

_UCRED = struct.Struct("iII")
_SO_PEERGROUPS = 59
"""Not in Python's socket module; asm-generic/socket.h. The supplementary groups, since Linux 4.13."""
_MOST = 1024
"""Octets that Python lets an option have: 256 groups."""
PATIENCE = 1.0
"""Seconds that the user database has for a name: it may be one of a directory server."""
_UNKNOWN = "unknown user"


@dataclass(frozen=True, slots=True)
class Caller:
    """A process as it was when it connected."""

    pid: int
    uid: int
    groups: frozenset[int]

    def may_write(self, group: int | None) -> bool:
        """Tell whether it may change something: root, routerd's own user, and the members of `group`, if any."""
        return self.uid in (0, os.geteuid()) or group in self.groups


async def described(who: Caller) -> str:
    """Return a caller as the log shows it; without a name if the user database does not tell it in time."""
    name = _UNKNOWN
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            name = await _asked(who.uid).get()
    return f"{name} (uid {who.uid}, pid {who.pid})"


@lru_cache(maxsize=256)
def _asked(uid: int) -> Shared[str]:
    """Return what asks for a user's name: once at a time."""
    return Shared(partial(detached, _name, uid))


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return _UNKNOWN


def caller(connection: socket.socket) -> Caller:
    """Return who connected."""
    pid, uid, gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    try:
        octets = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _MOST)
    except OSError as error:
        if error.errno != errno.ERANGE:
            raise
        octets = b""  # in more groups than can be told: what counts is the first one
    return Caller(pid, uid, frozenset(struct.unpack(f"{len(octets) // 4}I", octets)) | {gid})
