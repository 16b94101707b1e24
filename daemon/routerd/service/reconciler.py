"""Holds the core's picture of the kernel to the kernel: by what the monitor hears, and by reading it again."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import replace

import structlog

from routerd.config.model import FibSection
from routerd.core.fib.drift import loses_own
from routerd.core.message import (
    ForeignRoute,
    KernelObjects,
    NexthopChange,
    RouteAudit,
    RouteChange,
    RoutesChanged,
)
from routerd.kernel.audit import audit
from routerd.kernel.dump import dump, is_own, objects
from routerd.kernel.writer import KernelWriter
from routerd.service.engine import Engine
from routerd.service.watchers import Watchers

RESYNC_DELAY = 0.02
"""Seconds that notifications gather before the kernel is read again: a link that flaps sends several."""
AUDIT_SPACING = 1.0
"""Seconds between two audits at least, whatever happens."""
AUDIT_SHARE, AUDIT_CREDIT = 20, 30.0
"""An audit that takes a second is paid for by so many; the seconds that may be owed. Beside a full table of others'
it takes half a second, and an interface that flaps asks for one each time: the first few come at once."""
REREAD_DELAY = 1.0
ATTEMPTS = 3
"""How often nexthops and groups are read beside all else: what is written meanwhile makes the picture useless."""
NOTIFICATIONS = "notifications of the kernel"

log = structlog.get_logger()


class Reconciler:
    """Reads the kernel at the start (`begin`) and from then on (`run`), and takes in what the monitor tells.

    `watchers` are all that notice changes: what they miss is read again.
    """

    def __init__(self, fib: FibSection, engine: Engine, writer: KernelWriter) -> None:
        self._fib = fib
        self._engine = engine
        self._writer = writer
        self.watchers = Watchers(self.missed)
        self._audited_at = time.monotonic()
        self._stale = False
        self._paid_at = -math.inf
        self._since: list[RouteChange | NexthopChange] | None = None
        """What was told of routes since the audit began that is under way."""

    def begin(self) -> None:
        """Read the kernel for the first time. Blocking; OSError if netlink fails."""
        found = dump(self._fib)
        self._writer.adopt(found)
        self._engine.take(found)
        self._engine.membership.look()
        self._begin_audit()

    def configure(self, fib: FibSection) -> None:
        """Go on with another configuration: audits come as often as it says, counted from the last one."""
        self._fib = fib
        self._engine.resync.set()

    # ------------------------------------------------------------------------------------------ what is told

    def owns(self, id_: int) -> bool:
        """Tell whether a nexthop or group is routerd's."""
        return self._writer.owns(id_)

    def owns_route(self, route: ForeignRoute) -> bool:
        """Tell whether a route bears routerd's marks."""
        return is_own(route, self._fib)

    def kernel_changed(self, reason: str) -> None:
        """Links, addresses or nexthops are to be read again."""
        self._engine.kernel_changed(reason)

    def routes_stale(self) -> None:
        """The kernel may have changed routes without a word: they are to be read, too."""
        self._stale = True
        self._engine.resync.set()

    def missed(self) -> None:
        """What should have noticed changes was away: all is to be read again."""
        self._engine.resync.set()
        self.routes_stale()

    def not_understood(self, error: Exception) -> None:
        """What the kernel told could not be taken in."""
        self.watchers.failed(NOTIFICATIONS, error)

    def routes_changed(self, changes: tuple[RouteChange | NexthopChange, ...]) -> None:
        """Hand what others did with routes to the core."""
        if self._since is not None:
            self._since += changes
        fib, metric = self._engine.router.fib, self._fib.metric
        routes = (change for change in changes if isinstance(change, RouteChange))
        self._writer.routes.lost([change.prefix for change in routes if loses_own(fib, change, metric)])
        self._engine.take(RoutesChanged(changes))
        self._engine.wake.set()

    # ------------------------------------------------------------------------------------------ reading again

    async def run(self) -> None:
        """Read the kernel again when something changed there, and now and then in any case."""
        while True:
            changed = time.monotonic() < self._audit_due and await self._change_before(self._audit_due)
            try:
                found = await (self._objects() if changed else self._routes())
            except OSError as error:
                # The tables change faster than they can be read, or memory is short: both pass.
                log.warning("the kernel could not be read", reason=str(error), again_in=REREAD_DELAY)
                await asyncio.sleep(REREAD_DELAY)
                self._engine.resync.set()
                if not changed:
                    self._audited_at = -math.inf  # it was not made
                continue
            if not changed:
                self._engine.resync.set()  # the objects, too
            self._engine.take(found)
            self._engine.wake.set()
            if not changed:
                now = time.monotonic()
                self._paid_at = max(self._paid_at, now) + AUDIT_SHARE * (now - self._audited_at)

    def _begin_audit(self) -> None:
        self._audited_at, self._stale = time.monotonic(), False

    @property
    def _audit_due(self) -> float:
        latest = self._audited_at + self._fib.audit_interval
        if not self._stale:
            return latest
        return min(latest, max(self._audited_at + AUDIT_SPACING, self._paid_at - AUDIT_CREDIT))

    async def _change_before(self, deadline: float) -> bool:
        """Wait until something changes in the kernel; False if nothing does."""
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                await self._engine.resync.wait()
        except TimeoutError:
            return False
        return True

    async def _objects(self) -> KernelObjects:
        await asyncio.sleep(RESYNC_DELAY)
        self._engine.resync.clear()
        found = await self._read()
        self._writer.adopt_objects(found)
        return found

    async def _read(self) -> KernelObjects:
        """Read nexthops and groups, with all written: thousands of groups take twenty milliseconds."""
        for _ in range(ATTEMPTS):
            await self._engine.written()
            before = self._writer.writes
            found = await asyncio.to_thread(objects)
            if self._writer.writes == before and not self._engine.unwritten:
                return found
        await self._engine.written()
        return objects()

    async def _routes(self) -> RouteAudit:
        await self._engine.written()
        self._writer.routes.begin_audit()
        self._begin_audit()
        router, self._since = self._engine.router, []
        try:
            compared, found = await audit(router.fib.expected(), router.rib.nexthops.foreign.routes, self._fib)
            since = tuple(self._since)
        finally:
            self._since = None
        self._writer.routes.adopt(found.routes)
        return replace(compared, since=since)
