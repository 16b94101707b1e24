"""Looks at what nobody tells of, again and again, in a thread.

An idle process pays for a wakeup by the memory that is touched until it sleeps again: where the CPU was elsewhere a
page may cost microseconds. For two timers of the event loop that are some 700 pages, for two looks here 280.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from routerd.ticks import next_tick

LINGER = 60.0
"""Seconds without a look after which the thread ends."""


@dataclass(slots=True, eq=False)
class _Look:
    period: float
    finds: Callable[[], bool]
    at: float
    found: asyncio.Future[None]


_looks: tuple[_Look, ...] = ()
_lock = threading.Lock()
_thread: threading.Thread | None = None
_asleep = threading.Lock()
"""Held as long as the thread may sleep: a lock is what wakes it up from the least memory."""
_asleep.acquire()


async def until(period: float, finds: Callable[[], bool]) -> None:
    """Return once `finds` does: it is called about every `period` seconds, in another thread than the event loop's,
    and once more, perhaps, after this was cancelled. Raises what it raises, and RuntimeError if there can be no
    thread."""
    global _looks, _thread
    loop = asyncio.get_running_loop()
    look = _Look(period, finds, next_tick(period, loop.time()), loop.create_future())
    with _lock:
        if _thread is None:
            thread = threading.Thread(target=_run, name="looks", daemon=True)
            thread.start()
            _thread = thread
        _looks = (*_looks, look)
        if _asleep.locked():
            _asleep.release()
    try:
        await look.found
    finally:
        with _lock:
            _looks = tuple(each for each in _looks if each is not look)


def _run() -> None:
    global _thread
    while True:
        now = time.monotonic()
        following = now + LINGER
        for look in _looks:
            if look.at <= now:
                _take(look, now)
            following = min(following, look.at)
        if _asleep.acquire(timeout=max(0.0, following - time.monotonic())) or _looks:
            continue
        with _lock:
            if not _looks:
                _thread = None
                return


def _take(look: _Look, now: float) -> None:
    error: Exception | None = None
    try:
        if not look.finds():
            look.at += look.period
            if look.at <= now:  # it is late
                look.at = next_tick(look.period, now)
            return
    except Exception as raised:  # noqa: BLE001 - for whoever waits
        error = raised
    look.at = math.inf
    with contextlib.suppress(RuntimeError):  # the event loop is closed
        look.found.get_loop().call_soon_threadsafe(_tell, look.found, error)


def _tell(found: asyncio.Future[None], error: Exception | None) -> None:
    if found.done():
        return
    if error is None:
        found.set_result(None)
    else:
        found.set_exception(error)
