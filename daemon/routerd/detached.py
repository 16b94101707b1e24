"""What may never come back, each in a thread of its own: a file on a disk that does not answer, a directory server.

asyncio's own threads are few, and the kernel is read in them: who stays in one is in the way of that. And the process
waits for them when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_under_way: dict[threading.Thread, float] = {}
"""The threads, and since when each, in monotonic seconds; the oldest first."""


async def detached(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `work` returns; raise what it raises. Whoever is cancelled leaves it to its thread."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        result, failed = None, None
        try:
            result = work(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - for whoever waits
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result, failed)
        _under_way.pop(threading.current_thread(), None)

    thread = threading.Thread(target=run, name="detached", daemon=True)
    _under_way[thread] = time.monotonic()
    try:
        thread.start()
    except RuntimeError:  # there can be no more threads
        _under_way.pop(thread, None)
        raise
    return await done


def lasting(now: float) -> float:
    """Return for how many seconds the oldest of what is under way has been; 0 if nothing is. `now` is monotonic."""
    return now - min(list(_under_way.values()), default=now)


def finish(seconds: float) -> None:
    """Wait until all is done that was begun, for so many seconds at most."""
    end = time.monotonic() + seconds
    for thread in list(_under_way):
        thread.join(max(0.0, end - time.monotonic()))
