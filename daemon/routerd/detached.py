"""What may never come back, each in a thread of its own: a file on a disk that does not answer, a directory server.

asyncio's own threads are few, and the kernel is read in them: who stays in one is in the way of that. And the process
waits for them when it ends.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

PATIENCE = 10.0
"""Seconds after which what is waited for is said not to answer."""

P = ParamSpec("P")
T = TypeVar("T")

_under_way: dict[threading.Thread, float] = {}
"""The threads, and since when each, in monotonic seconds; the oldest first."""


class Threads(ThreadPoolExecutor):
    """Does each thing in a thread of its own, which the end of the process does not wait for."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Begin something; RuntimeError if there can be no more threads."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        thread = threading.Thread(
            target=_run, args=(future, partial(fn, *args, **kwargs)), name="detached", daemon=True
        )
        _under_way[thread] = time.monotonic()
        try:
            thread.start()
        except RuntimeError:
            _under_way.pop(thread, None)
            raise
        return future


def _run(future: Future[Any], work: Callable[[], Any]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - for whoever waits
        future.set_exception(error)
        del future  # to which the error's traceback leads: both would wait for the collector, which looks seldom
    finally:
        _under_way.pop(threading.current_thread(), None)


_threads = Threads()


async def detached(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `work` returns; raise what it raises. Whoever is cancelled leaves it to its thread."""
    return await asyncio.get_running_loop().run_in_executor(_threads, partial(work, *args, **kwargs))


def lasting(now: float) -> float:
    """Return for how many seconds the oldest of what is under way has been; 0 if nothing is. `now` is monotonic."""
    return now - min(list(_under_way.values()), default=now)


def finish(seconds: float) -> None:
    """Wait until all is done that was begun, for so many seconds at most."""
    end = time.monotonic() + seconds
    for thread in list(_under_way):
        thread.join(max(0.0, end - time.monotonic()))
