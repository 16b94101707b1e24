"""Routes by the thousand, and new groups by the dozen, are written in a thread: the core works on meanwhile.

The kernel takes two microseconds a route, twenty and more a resilient group, now and then tenths of a second for a
single one, and send() lets go of the interpreter. The thread does nothing but send and receive on a socket of its
own; what is sent and what came of it is the event loop's business.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from routerd.core.message import DeleteRoutes, Operation, SetGroup, SetRoutes, WriteFailed
from routerd.core.route import Prefix
from routerd.kernel.groups import GroupWriter
from routerd.kernel.requests import Refusals, Requests
from routerd.kernel.routes import RouteWriter

AT_ONCE = 2
"""Jobs: one that is being done, and the next, so that the thread need not wait for the event loop."""


class _Job(NamedTuple):
    """Groups, and then routes. `future` has what was refused of either; if any group was, no route has been sent."""

    groups: list[SetGroup]
    routes: list[SetRoutes | DeleteRoutes]
    future: Future[tuple[Refusals, Refusals]]


class Bulk:
    """Does a few jobs, in order. `wake` is called, in the thread, when one of them is done. `port` is the netlink
    port id."""

    def __init__(self, routes: RouteWriter, groups: GroupWriter, wake: Callable[[], object]) -> None:
        self._routes = routes
        self._groups = groups
        self._wake = wake
        self._requests = Requests()
        self.port = self._requests.port
        self._thread = ThreadPoolExecutor(1, "fib")
        self._jobs: deque[_Job] = deque()
        self._ids: set[int] = set()
        self._prefixes: set[Prefix] = set()
        """The groups and routes of the jobs."""

    @property
    def done(self) -> bool:
        """Whether `finish` would return at once."""
        return bool(self._jobs) and self._jobs[0].future.done()

    def takes(self, operation: Operation) -> bool:
        """Tell whether this can be begun before what was begun is written: new groups, and routes to other prefixes
        that lead to none of those in a job, for only when it is written is it known whose it is."""
        if not self._jobs or len(self._jobs) == AT_ONCE:
            return not self._jobs
        match operation:
            case SetGroup():
                return self.makes(operation)
            case SetRoutes(id=id, prefixes=prefixes):
                return id not in self._ids and self._prefixes.isdisjoint(prefixes)
            case DeleteRoutes(prefixes=prefixes):
                return self._prefixes.isdisjoint(prefixes)
        return False

    def makes(self, group: SetGroup) -> bool:
        """Tell whether to write a group is no more than to make it."""
        return group.id not in self._ids and self._groups.is_new(group)

    def start(self, operations: Sequence[Operation]) -> None:
        """Begin a job: routes that are set or deleted by one operation, or groups that it `makes` with the routes
        that lead to them."""
        groups = [each for each in operations if isinstance(each, SetGroup)]
        routes = [each for each in operations if isinstance(each, SetRoutes | DeleteRoutes)]
        barred = self._routes.barred(routes[0]) if routes and not groups else {}
        if barred:
            future = self._thread.submit(lambda: (Refusals(), barred))
        else:
            made = [*self._requests.joined(self._groups.encode(groups))]
            future = self._thread.submit(self._do, made, [*self._routes.encode(routes, self._requests)])
        self._ids.update([group.id for group in groups])
        self._prefixes.update([prefix for each in routes for prefix in each.prefixes])
        self._jobs.append(_Job(groups, routes, future))
        future.add_done_callback(lambda _: self._wake())

    def _do(self, groups: list[tuple[int, bytes]], routes: list[tuple[int, bytes]]) -> tuple[Refusals, Refusals]:
        refused = self._requests.exchange(groups)
        return refused, {} if refused else self._requests.exchange(routes)

    def finish(self) -> list[WriteFailed]:
        """Wait until the first job is done, and return what was refused. OSError if netlink itself fails."""
        job = self._jobs.popleft()
        self._ids.difference_update([group.id for group in job.groups])
        self._prefixes.difference_update([prefix for each in job.routes for prefix in each.prefixes])
        groups, routes = job.future.result()
        told = self._groups.made(job.groups, groups)
        return told + (self._routes.write(job.routes) if groups else self._routes.came(job.routes, routes))

    def wait(self) -> None:
        """Wait until all that was begun is written."""
        wait([job.future for job in self._jobs])

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown()
        self._requests.close()
