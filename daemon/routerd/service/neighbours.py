"""Liveness: have the kernel verify, again and again, that the nodes' link layer answers, and tell the core."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable

import structlog

from routerd.config.model import LivenessSection
from routerd.core.gateway_health import Reason
from routerd.core.message import Gateway, NeighbourState
from routerd.core.probing import Schedule
from routerd.core.route import format_address
from routerd.kernel.neighbour import NUD_FAILED, Neighbour, Prober, asked_in_vain, settings
from routerd.service.engine import Engine
from routerd.service.settings import Settings
from routerd.service.ticks import next_tick

MANY_BUCKETS = 1 << 16
"""Whoever probes waits while the kernel deletes the groups of a lost link. That takes it some 4 ms for so many
buckets; with more of them a thread is to wait."""

log = structlog.get_logger()


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

    def configure(self, liveness: LivenessSection) -> None:
        """Go on with another configuration. Without probing nobody is silent."""
        self._liveness = liveness
        self._schedule = Schedule(liveness.interval)
        self._links = None
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
            with contextlib.suppress(TimeoutError):
                now = asyncio.get_running_loop().time()
                async with asyncio.timeout_at(next_tick(self._liveness.interval, now)):
                    await self._changed.wait()

    def heard(self, entry: Neighbour, port: int) -> None:
        """Take in what the kernel tells of an entry that has failed, or is foreign; `port` is who changed it."""
        if self._liveness.method == "off" or not self._router.gateways.watches(entry.gateway):
            return
        if entry.state != NUD_FAILED:
            if self._prober.restore(entry):
                log.info("foreign neighbour entry restored", gateway=format_address(entry.gateway.address))
        elif port or not asked_in_vain(entry):
            self._changed.set()
        else:
            self._engine.take(NeighbourState(entry.gateway, alive=False))
            self._engine.wake.set()  # for what failover left to be done later

    async def _round(self, now: float) -> None:
        watched = self._router.gateways.watched
        self._follow(watched)
        entries = self._prober.look(watched)
        silent = self._router.health.having(Reason.SILENT)
        heard = [gateway for gateway in silent if gateway in entries and entries[gateway].valid]
        for gateway in heard:
            if entries[gateway].alive:
                self._engine.take(NeighbourState(gateway, alive=True))
        due = self._schedule.due(watched, silent, heard, now)
        self._engine.tally.probes += len(due)
        if self._router.fib.groups.buckets < MANY_BUCKETS:
            self._prober.probe(due, entries)
        else:
            await asyncio.to_thread(self._prober.probe, due, entries)

    def _follow(self, watched: Iterable[Gateway]) -> None:
        """Make the kernel probe quickly where these gateways are. An interface made anew is another, by its index."""
        families = {(gateway.ifindex, 4 if len(gateway.address) == 4 else 6) for gateway in watched}
        links = {(self._router.rib.nexthops.name_of(index), version, index) for index, version in families}
        if links != self._links:
            self._links = links
            self._settings.follow(settings(self._liveness, sorted((name, version) for name, version, _ in links)))
