"""What the API answers: the daemon's side of every endpoint, each a consistent view of one moment."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import structlog

from routerd import __version__
from routerd.api.choosing import ALL, Choice
from routerd.api.models import (
    DropView,
    EventLoopView,
    GroupView,
    HealthView,
    LogView,
    PairStateView,
    PeerView,
    ProblemView,
    RefusalView,
    RouteDetailView,
    RoutesView,
    SpeakerView,
    StatusView,
    VersionView,
)
from routerd.api.slices import Slices
from routerd.api.views import carrying, groups, health, kernel, peers, routes
from routerd.api.views.dialling import line, with_dialling
from routerd.api.views.problems.drops import explained
from routerd.api.views.problems.gone import gone
from routerd.api.views.problems.service import (
    deaf,
    ended_record,
    failed_watcher,
    lost_history,
    not_the_file,
    unanswered,
    unconfirmed,
    unkept_drains,
    unkept_own_drain,
    unkept_shutdowns,
    unread_host,
    unwritten_log,
)
from routerd.api.views.problems.withheld import withheld
from routerd.core.histogram import Histogram
from routerd.core.message.host import HostState
from routerd.core.route import Prefix
from routerd.detached import lasting
from routerd.kernel import lookup
from routerd.kernel.diversions import diversions
from routerd.kernel.drops import Drops
from routerd.service.draining import Draining
from routerd.service.drains import Drains
from routerd.service.engine import Engine
from routerd.service.exposing import Exposing
from routerd.service.live import Live
from routerd.service.metrics import Metrics
from routerd.service.monitoring import Monitoring
from routerd.service.own_drain import OwnDrain
from routerd.service.peering import Peering
from routerd.service.reload import Reload
from routerd.service.settings import Settings
from routerd.service.versions import versions
from routerd.service.watchers import Failure
from routerd.session.refusals import Refusal
from routerd.session.speaker import Speaker
from routerd.telemetry.bus import Bus
from routerd.telemetry.log import bus, level, set_level, sink

if TYPE_CHECKING:
    from routerd.api.views.flow import Partner
    from routerd.service.inspection import Inspection
    from routerd.service.paired import Paired

log = structlog.get_logger()


class Answers:
    """Answers from the core and from what surrounds it. `notes` are problems that the composition root knows of,
    `others` tell of more.
    """

    def __init__(
        self,
        engine: Engine,
        speaker: Speaker,
        settings: Settings,
        drains: Drains,
        drops: Drops,
        *,
        peering: Peering,
        own_drain: OwnDrain,
        live: Live,
        stretches: Histogram,
        failures: Mapping[str, Failure],
        reload: Reload,
        metrics: Metrics,
        exposing: Exposing,
        monitoring: Monitoring,
    ) -> None:
        self.notes: list[ProblemView] = []
        self.others: list[Callable[[], Iterable[ProblemView]]] = []
        self.paired: Paired | None = None
        """The other router of the pair, where one is configured."""
        self._router = engine.router
        self._engine = engine
        self._speaker = speaker
        self._settings = settings
        self._drains = drains
        self._drops = drops
        self._stretches = stretches
        self._failures = failures
        self.draining = Draining(engine, drains)
        self.drain, self.set_drain = self.draining.drain, self.draining.set_drain
        self._own_drain = own_drain
        self.own_drain, self.set_own_drain = own_drain.view, own_drain.set
        self.diff, self.reload, self.confirm = reload.diff, reload.reload, reload.confirm
        self.rollback, self.history = reload.rollback, reload.history
        self.clear, self.shutdown, self.enable = peering.clear, peering.shutdown, peering.enable
        self._shutdowns = peering.shutdowns
        self.check = live.check
        self._reload = reload
        self.metrics = metrics.page
        self._exposing = exposing
        self._monitoring = monitoring

    def status(self) -> Slices[StatusView]:
        """Return the answer to `GET /v1/status`."""
        state = self._speaker.state
        # One that cannot listen comes and goes; it does not count as running in between.
        running = state.running and bool(state.listening)
        speaker = SpeakerView(running=running, pid=state.pid, restarts=state.restarts, reason=state.reason)
        sysctls = [kernel.sysctl(state) for state in self._settings.read()]
        now = time.monotonic()
        notes = [*self.notes, *unwritten_log(*sink.lost), *unkept_drains(self._drains.unread, self._drains.unstored)]
        notes += unkept_shutdowns(self._shutdowns.unread, self._shutdowns.unstored)
        notes += unkept_own_drain(self._own_drain.unread, self._own_drain.unstored)
        notes += withheld(self._router, self._engine.withheld)
        for what, failure in self._failures.items():
            notes += failed_watcher(what, failure.count, now - failure.last, failure.text)
        notes += [*unconfirmed(self._reload.unconfirmed), *not_the_file(self._reload.differs or self._reload.refused)]
        notes += [
            *lost_history(self._reload.lost, self._reload.unstored),
            *self._exposing.problems(),
            *self._monitoring.problems,
        ]
        for tell in self.others:
            notes += tell()
        if self.paired is not None:
            notes += yield from self.paired.problems(now)
        router = self._router.config.router
        notes += unanswered(lasting(now))
        notes += deaf([f"{address} {router.port}" for address in router.listen], state.listening)
        notes += list(gone(self._router, notes))
        if self._engine.recorder is not None:
            notes += ended_record(self._engine.recorder.ended)
        view = yield from health.status(
            self._router,
            __version__,
            speaker,
            sysctls,
            notes,
            host=self._host(now, notes),
            refusals=[refusal(each, now) for each in state.refusals],
            drops=self._dropped(now),
            diversions=diversions,
            unwritten=self._engine.unwritten,
            event_loop=self.event_loop(),
            counts=self._engine.bucket_counts,
            dialled=self._dialled(now),
            pair=self.pair(now),
            now=now,
        )
        return view

    def _host(self, now: float, notes: list[ProblemView]) -> HostState:
        """Return how the host is; if that cannot be read it is noted, and all else can be shown."""
        nodes = {gateway.ifindex for gateway in self._router.fib.groups.nexthops}
        try:
            return self._settings.host(self._router.rib.nexthops.interfaces.values(), now, nodes)
        except OSError as error:
            notes += unread_host(error.strerror or str(error))
            return HostState(frozenset(), frozenset(), False, frozenset(), ())

    def pair(self, now: float) -> PairStateView | None:
        """Return how this router stands with the other one of its pair; None without one."""
        return None if self.paired is None else self.paired.state(now)

    def health(self, at_least: int) -> HealthView:
        """Return the answer to `GET /v1/health`."""
        return carrying.health(self._router, self._settings.read(), at_least)

    def event_loop(self) -> EventLoopView:
        """Return how long the event loop has not looked around."""
        found = self._stretches
        return EventLoopView(bounds=list(found.bounds), counts=list(found.counts), longest_seconds=found.largest)

    def peers(self) -> Slices[list[PeerView]]:
        """Return the answer to `GET /v1/peers`."""
        now = time.monotonic()
        found = yield from peers.peers(self._router, now, self._engine.bucket_counts)
        return with_dialling(explained(self._router, found, self._dropped(now), now), self._dialled(now))

    def _dialled(self, now: float) -> dict[str, str]:
        found = self._speaker.state.dialled.items()
        return {
            address: line(each.state, None if each.again_at is None else each.again_at - now)
            for address, each in found
        }

    def _dropped(self, now: float) -> list[DropView]:
        seen = self._drops.seen.items()
        return [DropView(counter=name, count=each.count, last_seconds=now - each.last) for name, each in seen]

    def groups(self) -> Slices[list[GroupView]]:
        """Return the answer to `GET /v1/groups`."""
        return groups.groups(self._router, time.monotonic(), self._engine.bucket_counts)

    def routes(self, offset: int, limit: int, peer: str | None, choice: Choice = ALL) -> Slices[RoutesView | None]:
        """Return the answer to `GET /v1/routes`; None if there is no such peer."""
        return routes.routes(self._router, offset, limit, peer, choice)

    def route(self, prefix: Prefix) -> RouteDetailView | None:
        """Return the answer to `GET /v1/routes/{prefix}`; asks the kernel."""
        found = kernel.route(lookup.route(prefix))
        return routes.route(self._router, prefix, found, time.monotonic(), self._engine.bucket_counts)

    @cached_property
    def inspection(self) -> Inspection:
        """What looks closer: loaded when somebody does."""
        from routerd.service.inspection import Inspection

        def partner() -> Partner | None:
            return None if self.paired is None else self.paired.at_partner

        return Inspection(self._engine, self._speaker, bus, self.peers, partner)

    def covering(self, prefix: Prefix) -> str:
        """Return the most specific prefix of the Loc-RIB that `prefix` lies within; empty if there is none."""
        return routes.covering(self._router, prefix)

    @property
    def events(self) -> Bus:
        """What has happened lately, and is to come."""
        return bus

    def names(self, peer: str) -> frozenset[str]:
        """Return the name and the address of a peer, by either; nothing if there is no such peer."""
        found = self.draining.find(peer)
        return frozenset() if found is None else frozenset((found.name, found.address))

    def log_level(self) -> LogView:
        """Return the answer to `GET /v1/log`."""
        return LogView(level=level(), changed=False)

    def set_log_level(self, wanted: str, by: str) -> LogView:
        """Change the least level that the log has, as `by` asked for."""
        changed = wanted != level()
        log.warning("log level", to=wanted, by=by)  # while the log may have it still
        set_level(wanted)
        return LogView(level=wanted, changed=changed)

    def dump(self) -> AsyncGenerator[bytes, None]:
        """Return the table as MRT records, in parts."""
        from routerd.service.tables import dump

        return dump(self._router)

    def version(self) -> VersionView:
        """Return the answer to `GET /v1/version`."""
        return versions()


def refusal(found: Refusal, now: float) -> RefusalView:
    """Return attempts at a session as the API shows them."""
    said = found.notification
    return RefusalView(
        address=found.address,
        reason=found.reason,
        notification="" if said is None else f"{said.code}/{said.subcode} {'sent' if said.sent else 'received'}",
        count=found.count,
        first_seconds=now - found.first,
        last_seconds=now - found.last,
    )
