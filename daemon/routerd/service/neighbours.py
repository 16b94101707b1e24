"""Liveness: have the kernel verify, again and again, that the nodes' link layer answers, and tell the core."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog

from routerd.config.model import LivenessSection
from routerd.core.gateway_health import Reason
from routerd.core.message import Gateway, NeighbourState
from routerd.core.probing import Schedule
from routerd.core.route import format_address
from routerd.kernel.neighbour import NUD_FAILED, Neighbour, Prober, asked_in_vain, settings
from routerd.service import looks
from routerd.service.engine import Engine
from routerd.service.settings import Settings
from routerd.ticks import next_tick

MANY_BUCKETS = 1 << 16
"""Whoever probes waits while the kernel deletes the groups of a lost link. That takes it some 4 ms for so many
buckets; with more of them a thread is to wait."""

SETTLES = 0.02
"""Seconds between the news that somebody has changed an entry and the next look: whoever empties the table checks
first that it stays empty."""
UNREAD = 5.0
"""Seconds, about, for which entries that answer are probed again without a look, as long as nothing is heard of them:
the monitor tells of all that no probe must meet. A probe writes an entry's flags again, as they were at the last
look: whether a node of IPv6 is a router may be so old, until the node answers."""

log = structlog.get_logger()


@dataclass(slots=True)
class _Round:
    """Who was watched, all of them with ordinary entries that were valid; how many were probed; and until when, in
    monotonic seconds, that may be done again without a look. `handled` is what the engine had when that was seen."""

    version: tuple[int, ...]
    count: int
    until: float
    handled: int


class Neighbours:
    """Probes what the core watches. `heard` is for the monitor."""

    def __init__(self, liveness: LivenessSection, engine: Engine, sysctls: Settings) -> None:
        self._liveness = liveness
        self._engine = engine
        self._router = engine.router
        self._settings = sysctls
        self._links: set[tuple[str, int, int]] | None = None
        """The interfaces whose settings were made, by name, IP version and index; None: they are to be made anew."""
        self._changed = asyncio.Event()
        self._prober = Prober()
        self._schedule = Schedule(liveness.interval)
        self._entries: Mapping[Gateway, Neighbour] = {}
        """What the last look has found."""
        self._last: _Round | None = None
        """The last round with a look; None if the next needs one."""
        self._repeating = threading.Lock()
        """Whoever says that a look is needed does so before a round without one, or when it is over."""

    def configure(self, liveness: LivenessSection) -> None:
        """Go on with another configuration. Without probing nobody is silent."""
        self._liveness = liveness
        self._schedule = Schedule(liveness.interval)
        self._links = None
        self._look_again()
        if liveness.method == "off":
            self._settings.follow({})
            for gateway in list(self._router.health.having(Reason.SILENT)):
                self._engine.take(NeighbourState(gateway, alive=True))
        self._changed.set()

    async def watch(self) -> None:
        """Probe all that is watched, every `interval` and when somebody has changed an entry."""
        while True:
            if self._liveness.method == "off":
                self._changed.clear()
                await self._changed.wait()
                continue
            self._changed.clear()
            try:
                await self._round(time.monotonic())
            except OSError as error:
                log.warning("the neighbours could not be read", reason=str(error), again_in=self._liveness.interval)
            await self._look_due()

    async def _look_due(self) -> None:
        """Wait until a round with a look is due; those without one need no task to wake up."""
        changed = asyncio.ensure_future(self._changed.wait())
        due = asyncio.ensure_future(looks.until(self._liveness.interval, self._is_due))
        try:
            done, _ = await asyncio.wait((changed, due), return_when=asyncio.FIRST_COMPLETED)
            if due in done:
                due.result()
            else:
                await asyncio.sleep(SETTLES)
        finally:
            changed.cancel()
            due.cancel()

    def heard(self, entry: Neighbour | None, port: int) -> None:
        """Take in what the kernel tells of an entry that has failed, or is foreign; `port` is who changed it. Without
        an entry: it may have told of some."""
        if entry is None:
            self._look_again()
            return
        if self._liveness.method == "off" or not self._router.gateways.watches(entry.gateway):
            return
        self._look_again()
        if entry.state != NUD_FAILED:
            known = self._entries.get(entry.gateway)
            was_probed = known is None or not known.foreign
            if was_probed and self._prober.restore(entry):
                log.info("foreign neighbour entry restored", gateway=format_address(entry.gateway.address))
        elif port or not asked_in_vain(entry):
            self._changed.set()
        else:
            self._engine.take(NeighbourState(entry.gateway, alive=False))
            self._engine.wake.set()  # for what failover left to be done later

    def _look_again(self) -> None:
        with self._repeating:
            self._last = None

    async def _round(self, now: float) -> None:
        self._look_again()
        handled, version = self._engine.handled, self._router.gateways.version
        watched = self._router.gateways.watched
        self._follow(watched)
        quick, look = self._quick, self._prober.look
        # Up to Linux 6.16 the kernel tells nothing of its neighbours either while it is busy.
        entries = self._entries = look(watched) if quick else await asyncio.to_thread(look, watched)
        silent = self._router.health.having(Reason.SILENT)
        heard = [gateway for gateway in silent if gateway in entries and entries[gateway].valid]
        for gateway in heard:
            if entries[gateway].alive:
                self._engine.take(NeighbourState(gateway, alive=True))
        due = self._schedule.due(watched, silent, heard, now)
        self._engine.tally.probes += len(due)
        if not quick:
            await asyncio.to_thread(self._prober.probe, due, entries)
        elif self._prober.probe(due, entries) and not silent:
            until = next_tick(UNREAD, now) - self._liveness.interval / 2
            self._last = _Round(version, len(due), until, handled)

    def _is_due(self) -> bool:
        """Tell whether a round with a look is due; if not, one without it was made. Called in another thread."""
        with self._repeating:
            try:
                return not self._repeat()
            except Exception:  # noqa: BLE001 - the round that comes instead meets it again, and tells of it
                return True

    def _repeat(self) -> bool:
        """Do as in the last round, but without a look, and tell whether that was enough."""
        last = self._last
        if last is None or time.monotonic() >= last.until:
            return False
        handled = self._engine.handled
        if last.handled != handled:
            if not self._is_as_in(last):
                return False
            last.handled = handled
        self._engine.tally.probes += last.count
        return self._prober.probe_again()

    def _is_as_in(self, last: _Round) -> bool:
        """Tell whether the same are watched as in a round, on the same links, and the kernel has time."""
        name_of = self._router.rib.nexthops.name_of
        same = self._quick and last.version == self._router.gateways.version
        return same and all(name_of(index) == name for name, _, index in self._links or ())

    @property
    def _quick(self) -> bool:
        """Whether the kernel is not about to be busy: a route that makes its table grow may take it half a second."""
        return self._router.fib.groups.buckets < MANY_BUCKETS and not self._engine.unwritten

    def _follow(self, watched: Iterable[Gateway]) -> None:
        """Make the kernel probe quickly where these gateways are. An interface made anew is another, by its index."""
        families = {(gateway.ifindex, 4 if len(gateway.address) == 4 else 6) for gateway in watched}
        links = {(self._router.rib.nexthops.name_of(index), version, index) for index, version in families}
        if links != self._links:
            self._links = links
            self._settings.follow(settings(self._liveness, sorted((name, version) for name, version, _ in links)))
