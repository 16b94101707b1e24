"""What the API answers: the daemon's side of every endpoint, each a consistent view of one moment."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import time
from collections.abc import Iterable
from importlib.metadata import version as installed_version

import structlog

from routerd import __version__
from routerd.api.models import (
    DrainView,
    GroupView,
    PeerView,
    ProblemView,
    RouteDetailView,
    RoutesView,
    SpeakerView,
    StatusView,
    VersionView,
)
from routerd.api.views import health, kernel, snapshot
from routerd.core.message import Drain
from routerd.core.route import Prefix
from routerd.kernel import lookup
from routerd.kernel.sysctl import Sysctls
from routerd.service.drains import Drains
from routerd.service.engine import Engine
from routerd.session.speaker import Speaker

DRAIN_INTERVAL = 1.0
"""Seconds between two counts of the buckets that drained nodes still have."""

log = structlog.get_logger()


class Answers:
    """Answers from the core and from what surrounds it. `notes` are problems that the composition root knows of."""

    def __init__(self, engine: Engine, speaker: Speaker, sysctls: Sysctls, drains: Drains) -> None:
        self.notes: list[ProblemView] = []
        self._router = engine.router
        self._engine = engine
        self._speaker = speaker
        self._sysctls = sysctls
        self._drains = drains
        self._buckets: dict[str, int] = {}

    def status(self) -> StatusView:
        """Return the answer to `GET /v1/status`."""
        state = self._speaker.state
        # One that cannot listen comes and goes; it does not count as running in between.
        running = state.running and bool(state.listening)
        speaker = SpeakerView(running=running, pid=state.pid, restarts=state.restarts, reason=state.reason)
        sysctls = [kernel.sysctl(state) for state in self._sysctls.apply(manage=False)]
        now, unwritten = time.monotonic(), self._engine.unwritten
        return health.status(self._router, __version__, speaker, sysctls, self.notes, unwritten=unwritten, now=now)

    def peers(self) -> list[PeerView]:
        """Return the answer to `GET /v1/peers`."""
        return snapshot.peers(self._router, time.monotonic())

    def groups(self) -> list[GroupView]:
        """Return the answer to `GET /v1/groups`."""
        return snapshot.groups(self._router)

    def routes(self, offset: int, limit: int, peer: str | None) -> RoutesView:
        """Return the answer to `GET /v1/routes`."""
        return snapshot.routes(self._router, offset, limit, peer)

    def route(self, prefix: Prefix) -> RouteDetailView | None:
        """Return the answer to `GET /v1/routes/{prefix}`; asks the kernel."""
        return snapshot.route(self._router, prefix, kernel.route(lookup.route(prefix)))

    def drain(self, peer: str, on: bool | None) -> DrainView | None:
        """Return the answer to `/v1/peers/{peer}/drain`, after starting or ending the drain if `on` says so."""
        found = next((p for p in self._router.rib.peers.values() if peer in (p.name, p.address)), None)
        if found is None:
            return None
        if on is not None:
            self._drains.mark(found.address, on=on)
            self._engine.take(Drain(found.address, on))
            self._engine.wake.set()  # from now on the core looks whether flows are left
            self._buckets.pop(found.address, None)
            log.info("drain" if on else "undrain", peer=found.name)
        shared, sole = snapshot.drained_groups(self._router, found)
        if found.address not in self._buckets:
            self._buckets[found.address] = _count_buckets(shared)
        buckets, drain = self._buckets[found.address], snapshot.drain_of(self._router, found)
        return DrainView(
            name=found.name,
            drain=drain,
            buckets=buckets,
            groups=len(shared),
            sole=sole,
            empty=bool(drain) and not buckets and not sole,
        )

    def version(self) -> VersionView:
        """Return the answer to `GET /v1/version`."""
        return VersionView(
            routerd=__version__,
            exabgp=installed_version("exabgp"),
            python=platform.python_version(),
            kernel=platform.release(),
        )

    async def watch_drains(self) -> None:
        """Count, now and then, the buckets that still lead to drained nodes."""
        while True:
            counted: dict[str, int] = {}
            for peer in list(self._router.rib.peers.values()):
                if snapshot.drain_of(self._router, peer):
                    shared, _ = snapshot.drained_groups(self._router, peer)
                    counted[peer.address] = await asyncio.to_thread(_count_buckets, shared)
            self._buckets = counted
            await asyncio.sleep(DRAIN_INTERVAL)


def _count_buckets(shared: Iterable[tuple[int, int]]) -> int:
    """Count the buckets of groups that lead to nexthops; a group that has gone meanwhile has none."""
    total = 0
    for group, nexthop in shared:
        with contextlib.suppress(OSError):
            total += len(lookup.buckets(group, nexthop))
    return total
