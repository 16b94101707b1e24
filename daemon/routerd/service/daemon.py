"""The composition root: it joins the rooms, runs their tasks, and decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import structlog

from routerd.api import server
from routerd.api.endpoints import Failure
from routerd.api.models import ProblemView
from routerd.api.pace import pace
from routerd.config.model import Config
from routerd.core.message import Drain, WriteFailed
from routerd.core.router import Router
from routerd.detached import finish
from routerd.kernel.drops import Drops
from routerd.kernel.flush import flush
from routerd.kernel.memory import AT_ONCE, look
from routerd.kernel.monitor import Monitor
from routerd.kernel.writer import KernelWriter
from routerd.service.answers import Answers
from routerd.service.beginning import Beginning
from routerd.service.drains import Drains
from routerd.service.engine import Engine
from routerd.service.exposing import Exposing
from routerd.service.feeding import Feeding
from routerd.service.foreseeing import Foreseer
from routerd.service.identity import identify
from routerd.service.journal import Journal
from routerd.service.kept import beside, store_again
from routerd.service.live import Live
from routerd.service.manager import ServiceManager
from routerd.service.metrics import Metrics
from routerd.service.monitoring import Monitoring
from routerd.service.mqtt.mqtt import Mqtt
from routerd.service.neighbours import Neighbours
from routerd.service.own_drain import OwnDrain
from routerd.service.peering import Peering
from routerd.service.reconciler import NOTIFICATIONS, Reconciler
from routerd.service.recording import Recorder
from routerd.service.reload import Reload
from routerd.service.settings import Settings
from routerd.service.shutdowns import Shutdowns
from routerd.service.stretches import Stretches
from routerd.session.speaker import Speaker
from routerd.telemetry.log import repeats
from routerd.ticks import doze, nearest_tick

if TYPE_CHECKING:
    from routerd.service.pair import Pairing

SWITCH_INTERVAL = 0.0002
"""Seconds that the core keeps the interpreter from the thread that writes routes: Python's own 5 ms are half of what
the kernel takes for the routes that it is handed at once."""
MEMORY_INTERVAL = 1.0
"""Seconds between readings of groups whose buckets may have moved."""
WATCHDOG_INTERVAL = 5.0
LAST = 2.0
"""Seconds that files may take that are being written when routerd ends."""
DROPS_INTERVAL = 5.0

log = structlog.get_logger()


class StopRequested(Exception):  # noqa: N818 - a request, not an error
    """The operator asked the daemon to stop."""


class Daemon:
    """One running routerd."""

    def __init__(
        self, path: Path, beginning: Beginning, journal: Journal, stretches: Stretches, record: TextIO | None = None
    ) -> None:
        self.config = config = beginning.config
        started = time.monotonic()
        self.writer = KernelWriter(config.fib)
        self.router = Router(
            config,
            started,
            resilient=self.writer.supports_resilient,
            widest=65535 if self.writer.wide_weights else 256,
        )
        self.speaker = Speaker(config, log=log)
        self.engine = Engine(config, self.router, self.writer, self.speaker, stretches.lasted)
        if record is not None:
            self.engine.recorder = Recorder(record, config, started)
        self.feeding = Feeding(self.engine, self.speaker, stretches)
        self.reconciler = Reconciler(config.fib, self.engine, self.writer)
        self.settings = Settings(config.fib)
        self.neighbours = Neighbours(config.liveness, self.engine, self.settings)
        self.drains = Drains(config.drain.state_file)
        self.peering = Peering(self.engine, Shutdowns(config.drain.state_file))
        self.own_drain = OwnDrain(config.drain.state_file, self.engine)
        self.drops = Drops()
        self.monitoring = Monitoring(config, self.engine, self.reconciler.watchers.keep)
        foreseer = Foreseer(self.router, self.writer.buckets.used)
        self.reload = Reload(path, config, journal, foreseer, self._configure)
        self.reload.differs = beginning.differs
        failures = self.reconciler.watchers.failures
        self.metrics = Metrics(
            self.engine,
            self.speaker,
            self.settings,
            self.drops,
            config=config,
            reload=self.reload,
            stretches=stretches.histogram,
            failures=failures,
        )
        self.exposing = Exposing(config.metrics, self.metrics.page)
        self.answers = Answers(
            self.engine,
            self.speaker,
            self.settings,
            self.drains,
            self.drops,
            peering=self.peering,
            own_drain=self.own_drain,
            live=Live(path, self.router),
            stretches=stretches.histogram,
            failures=failures,
            reload=self.reload,
            metrics=self.metrics,
            exposing=self.exposing,
            monitoring=self.monitoring,
        )
        self.metrics.status = self.answers.status
        self.mqtt = Mqtt(config, self.engine, self.answers, stretches.lasted)
        self.answers.others.append(self.mqtt.problems)
        self.metrics.others = lambda: self.monitoring.figures(self.mqtt.figures)
        self.pairing: Pairing | None = None
        if config.pair.partner:
            from routerd.service.pair import Pairing  # most routers are alone

            self.pairing = Pairing(config, self.engine, self.settings)
        self._stop = asyncio.Event()

    async def run(self, *, flush_on_exit: bool = False) -> None:
        """Run until SIGTERM or SIGINT. The FIB stays as it is, unless `flush_on_exit`."""
        api = self.config.api
        writers = partial(self._bind, api.socket, api.group)
        listeners = [(writers(), writers, False)]
        if api.readers is not None:
            readers = partial(self._bind, api.readers_socket, api.readers)
            listeners.append((readers(), readers, True))
        if self.config.fib.groups == "resilient" and not self.writer.supports_resilient:
            self._note(
                "fib",
                "this kernel has no resilient nexthop groups: a node that leaves or joins breaks flows of the others",
                'use Linux 5.13 or newer, or write groups = "hash-threshold"',
            )
        self.settings.begin()
        for peer in self.drains.peers:
            self.engine.take(Drain(peer, True))
        self.peering.begin()
        self.own_drain.begin()
        # Before the first dump, so that what changes after it does not go unheard.
        monitor = Monitor(self.engine.ports, self.reconciler, self.neighbours.heard)
        monitor.start()
        if self.pairing is not None:
            self.pairing.begin()
            self._show_pair(self.pairing)
        self.reconciler.begin()
        if self.pairing is not None:
            self.pairing.adopted()
        watchers = self.reconciler.watchers
        asyncio.get_running_loop().set_exception_handler(watchers.unhandled)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hang_up)
        sys.setswitchinterval(SWITCH_INTERVAL)
        pace().busy = self.feeding.busy
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.speaker.run())
                group.create_task(self.engine.write_out())
                group.create_task(self.feeding.fail_over())
                group.create_task(self.feeding.listen())
                group.create_task(self.feeding.housekeep())
                for listener, anew, read_only in listeners:
                    group.create_task(server.keep(self.answers, listener, anew, read_only=read_only))
                for what, watch in (
                    (NOTIFICATIONS, monitor.run),
                    ("reading of the kernel", self.reconciler.run),
                    ("probing of neighbours", self.neighbours.watch),
                    ("sysctls", self.settings.keep),
                    ("link-layer addresses", partial(identify, self.engine)),
                    ("drains", partial(store_again, self.drains, self.own_drain, self.peering.shutdowns)),
                    ("history", partial(store_again, self.reload)),
                    ("drains that become empty", self.answers.draining.watch),
                    ("buckets", self._remember),
                    ("counters of dropped segments", self._watch_drops),
                    ("changes of groups", self.engine.membership.run),
                    ("metrics", self.exposing.run),
                    ("mqtt", self.mqtt.run),
                    ("monitoring", self.monitoring.run),
                ):
                    group.create_task(watchers.keep(what, watch))
                if self.pairing is not None:
                    group.create_task(watchers.keep("channel to the partner", self.pairing.run))
                if self.answers.paired is not None:
                    group.create_task(watchers.keep("agreement of the pair", self.answers.paired.watch))
                group.create_task(self._report())
                await self._stop.wait()
                raise StopRequested
        except* StopRequested:
            log.info("stopping", fib="flushed" if flush_on_exit else "left in place")
        finally:
            monitor.close()
        self.engine.finish()
        finish(LAST)
        repeats.flush(all_of_them=True)
        if flush_on_exit:
            self._log_refusals(flush(self.config.fib))

    def _show_pair(self, pairing: Pairing) -> None:
        """Have the pair shown, of which the core knows by now."""
        from routerd.service.paired import Paired  # most routers are alone

        assert self.router.pair is not None
        paired = Paired(
            self.router,
            self.router.pair,
            self.config.pair.partner,
            counts=pairing.counts,
            set_seed=pairing.set_seed,
            unset=lambda: pairing.unset,
            keyless=lambda: pairing.keyless,
            uncertified=lambda: pairing.uncertified,
        )
        self.answers.paired, self.metrics.pair = paired, paired.figures

    # ------------------------------------------------------------------------------------------ tasks

    async def _remember(self) -> None:
        """Read where the buckets of groups lead: as soon as they were written, and as long as buckets move. What is
        being made by the hundred is read later, within a second: who reads keeps those waiting who write."""
        memory = self.writer.memory
        while True:
            for _ in range(4):
                if not self.feeding.busy():
                    break
                await asyncio.sleep(MEMORY_INTERVAL / 4)
            due = memory.due()
            if due:
                memory.note(await asyncio.to_thread(look, due))
            await asyncio.sleep(MEMORY_INTERVAL * len(due) / AT_ONCE)
            with contextlib.suppress(TimeoutError):
                now = asyncio.get_running_loop().time()
                async with asyncio.timeout_at(None if memory.settled() else nearest_tick(MEMORY_INTERVAL, now)):
                    await memory.changed.wait()

    async def _watch_drops(self) -> None:
        """Notice what the kernel drops unheard, and let the log say what it has held back."""
        while True:
            await doze(DROPS_INTERVAL)
            repeats.flush()
            for counter, count in self.drops.look(time.monotonic()).items():
                log.warning("tcp segments dropped", name=counter, count=count, remedy="routerd status says more")

    async def _report(self) -> None:
        """Tell the service manager that the daemon is ready once it listens, and from then on that it lives."""
        await self.speaker.ready.wait()
        log.info("ready", listen=list(self.config.router.listen), port=self.config.router.port)
        with ServiceManager() as manager:
            while True:
                peers = self.router.rib.peers.values()
                up = sum(peer.session is not None for peer in peers)
                status = f"{up} of {len(peers)} peers up, {self.router.fib.installed} routes in the FIB"
                # Ready each time: it may not have been heard before.
                manager.tell(f"READY=1\nWATCHDOG=1\nSTATUS={status}")
                await doze(WATCHDOG_INTERVAL)

    # ------------------------------------------------------------------------------------------ messages

    def _hang_up(self) -> None:
        """SIGHUP means, as to most daemons, that the file has changed."""
        self._reloading = asyncio.get_running_loop().create_task(self._reload())

    async def _reload(self) -> None:
        with contextlib.suppress(Failure):  # the log says why
            await self.reload.reload(None, 0, "SIGHUP")

    def _configure(self, config: Config) -> None:
        """Put another configuration in force."""
        self.config = config
        self.engine.configure(config)
        self.reconciler.configure(config.fib)
        self.settings.configure(config.fib)
        self.neighbours.configure(config.liveness)
        self.metrics.configure(config)
        self.exposing.configure(config.metrics)
        self.mqtt.configure(config)
        self.monitoring.configure(config)
        if self.pairing is not None:
            self.pairing.configure(config)
        if config.drain.state_file != self.drains.path:
            self._moving = asyncio.get_running_loop().create_task(self._move(config.drain.state_file))

    async def _move(self, state_file: str) -> None:
        await self.drains.move(state_file)
        for each in (self.peering.shutdowns, self.own_drain):
            await each.move(beside(state_file, each.SUFFIX))

    def _bind(self, path: str, group: str) -> server.Listener:
        """Bind a socket of the API; what its group lacks is logged."""
        listener, lack = server.bind(path, group)
        if lack is not None and lack.unanswered:
            self._note("api", lack.what, lack.remedy)
        elif lack is not None:
            log.warning(lack.what, remedy=lack.remedy)
        return listener

    def _note(self, where: str, what: str, remedy: str) -> None:
        log.warning(what, where=where, remedy=remedy)
        self.answers.notes.append(ProblemView(where=where, what=what, remedy=remedy))

    @staticmethod
    def _log_refusals(failures: list[WriteFailed]) -> None:
        for failed in failures:
            log.error("kernel refused", operation=repr(failed.operation), errno=failed.errno, text=failed.text)
