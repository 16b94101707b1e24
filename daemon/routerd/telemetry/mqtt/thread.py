"""The thread in which a broker is talked to, with an event loop of its own: names are looked up, connections made and
TLS agreed on by calls that block.

Nobody waits for the thread, not even the end of the process: it may be stuck in one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

AT_ONCE, PAUSE = 16, 0.02
"""Messages on their way to the broker, and seconds between two lots of them: the thread shares one processor with the
core, and 800 messages a second are a tenth of it."""
LAST = 10.0
"""Seconds until the broker is tried again, at most: doubled each time, until a connection has lasted longer."""
FAREWELL = 2.0
"""Seconds that the end may take."""


class BrokerThread:
    """Has `talk` make a connection and use it from start to end, again and again, at first after `first` seconds.

    What ended one is told `failed`; both are called in the thread. `ending` tells that there are to be no more.
    """

    def __init__(
        self, name: str, first: float, talk: Callable[[], Awaitable[None]], failed: Callable[[Exception], None]
    ) -> None:
        self.ending = False
        self._first = first
        self._talk = talk
        self._failed = failed
        self._home = asyncio.get_running_loop()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name=name, daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended = asyncio.Event()
        self._random = random.Random()
        """Its own: a thread that is stuck goes on when others rely on the state of the common one."""
        self._closed = False

    # ------------------------------------------------------------------------------------ in the loop that made it

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def rouse(self, event: asyncio.Event) -> None:
        """Set an event of the thread's."""
        loop = self._loop
        if loop is not None and not event.is_set():
            with contextlib.suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(event.set)

    async def close(self, *, wait: bool) -> None:
        """End; `wait` for a goodbye, which only somebody who is connected can say."""
        self.ending = True
        self.rouse(self._ended)
        if wait:
            await asyncio.to_thread(self._thread.join, FAREWELL)
        self._closed = True

    # ------------------------------------------------------------------------------------------------ in the thread

    def at_home(self, call: Callable[..., None], /, *arguments: Any, **named: Any) -> None:
        """Call something in the loop that made this, in order; nothing any more once this is closed."""

        def unless_closed() -> None:
            if not self._closed:
                call(*arguments, **named)

        with contextlib.suppress(RuntimeError):  # the daemon has ended
            self._home.call_soon_threadsafe(unless_closed)

    async def together(self, *parts: Coroutine[Any, Any, Any]) -> None:
        """Run the parts of a connection until this is to end, or one of them ends, and raise what ended it."""
        tasks = [asyncio.ensure_future(part) for part in (*parts, self._ended.wait())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _run(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        loop.set_default_executor(_InPlace())
        loop.set_exception_handler(lambda _, context: self.at_home(self._home.call_exception_handler, context))
        delay = self._first
        while not self.ending:
            began = time.monotonic()
            try:
                await self._talk()
            except Exception as error:  # noqa: BLE001 - whatever it is, routing has nothing to do with it
                self._failed(error)
            if time.monotonic() - began > LAST:
                delay = self._first
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay * self._random.uniform(0.75, 1.0)):
                    await self._ended.wait()
            delay = min(2 * delay, LAST)


class _InPlace(ThreadPoolExecutor):
    """Does it here and now: the thread is the broker's own, and at its end Python would wait for another one."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function, and return what it has returned or raised."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it is whoever waits that it is for
            future.set_exception(error)
        return future
