"""The child parses what peers send: it keeps the right to bind ports below 1024, and gives all others up for good.

TCP MD5 keys, TTLs and their limits need no capability (net/ipv4/tcp.c), so a changed configuration works with these.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterable

CAP_NET_BIND_SERVICE = 10
"""linux/capability.h. For a listening socket that a changed configuration asks for."""

_VERSION_3 = 0x20080522
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


_libc = ctypes.CDLL(None, use_errno=True)


def drop(keep: Iterable[int] = (CAP_NET_BIND_SERVICE,)) -> None:
    """Give up all capabilities but those to keep, and the ways to get any (capabilities(7)). OSError if that fails.

    The bounding set needs CAP_SETPCAP to be emptied. Without it, as an ordinary user, it stays, and is of no use:
    no_new_privs is set, and nothing is inheritable.
    """
    _prctl("PR_SET_NO_NEW_PRIVS", _PR_SET_NO_NEW_PRIVS, 1)
    _empty_bounding_set()
    _prctl("PR_CAP_AMBIENT", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header, data = _Header(_VERSION_3, 0), (_Data * 2)()
    _check("capget", _libc.capget(ctypes.byref(header), data))
    for index, half in enumerate(data):
        half.permitted &= sum(1 << number - 32 * index for number in keep if number // 32 == index)
        half.effective, half.inheritable = half.permitted, 0
    _check("capset", _libc.capset(ctypes.byref(header), data))


def _empty_bounding_set() -> None:
    for number in range(64):
        if _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            if ctypes.get_errno() in (errno.EPERM, errno.EINVAL):
                return  # not ours to empty, or past the last capability that the kernel has
            _check("PR_CAPBSET_DROP", -1)


def _prctl(name: str, option: int, value: int) -> None:
    _check(name, _libc.prctl(option, value, 0, 0, 0))


def _check(name: str, result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
