"""Routes by the thousand are written in a thread, so that the core works on while the kernel does.

The kernel takes two microseconds a route, now and then tenths of a second for a single one, and send() lets go of the
interpreter. The thread does nothing but send and receive on a socket of its own; what is sent and what came of it is
the event loop's business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from routerd.core.message import DeleteRoutes, Operation, SetRoutes, WriteFailed
from routerd.core.route import Prefix
from routerd.kernel.requests import Refusals, Requests
from routerd.kernel.routes import RouteWriter

AT_ONCE = 2
"""Operations: one that is being written, and the next, so that the thread need not wait for the event loop."""


class _Job(NamedTuple):
    operation: SetRoutes | DeleteRoutes
    prefixes: frozenset[Prefix]
    future: Future[Refusals]


class Bulk:
    """Writes the routes of a few operations, in order. `wake` is called, in the thread, when one of them is done.
    `port` is the netlink port id."""

    def __init__(self, routes: RouteWriter, wake: Callable[[], object]) -> None:
        self._routes = routes
        self._wake = wake
        self._requests = Requests()
        self.port = self._requests.port
        self._thread = ThreadPoolExecutor(1, "fib")
        self._jobs: deque[_Job] = deque()

    @property
    def done(self) -> bool:
        """Whether `finish` would return at once."""
        return bool(self._jobs) and self._jobs[0].future.done()

    def takes(self, operation: Operation) -> bool:
        """Tell whether this can be begun before what was begun is written: routes to other prefixes, for only when a
        route is written is it known whose it is."""
        if len(self._jobs) == AT_ONCE or not isinstance(operation, SetRoutes | DeleteRoutes):
            return not self._jobs
        return all(job.prefixes.isdisjoint(operation.prefixes) for job in self._jobs)

    def start(self, operation: SetRoutes | DeleteRoutes) -> None:
        """Begin to write."""
        if barred := self._routes.barred(operation):
            future = self._thread.submit(lambda: barred)
        else:
            bursts = list(self._routes.encode([operation], self._requests))
            future = self._thread.submit(self._requests.exchange, bursts)
        self._jobs.append(_Job(operation, frozenset(operation.prefixes), future))
        future.add_done_callback(lambda _: self._wake())

    def finish(self) -> list[WriteFailed]:
        """Wait until the first operation that was begun is written, and return what was refused. OSError if netlink
        itself fails."""
        job = self._jobs.popleft()
        return self._routes.written(job.operation, job.future.result())

    def wait(self) -> None:
        """Wait until all that was begun is written."""
        wait([job.future for job in self._jobs])

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()
        self._requests.close()
