"""The composition root: it joins the rooms, carries out effects, and decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections import deque
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TextIO

import sdnotify
import structlog

from routerd import snapshot
from routerd.answers import Answers
from routerd.api import server
from routerd.api.models import ProblemView
from routerd.config.model import Config
from routerd.drains import Drains
from routerd.kernel.audit import audit
from routerd.kernel.backlog import Backlog
from routerd.kernel.bulk import Bulk
from routerd.kernel.dump import dump, objects
from routerd.kernel.flush import flush
from routerd.kernel.monitor import Monitor
from routerd.kernel.neighbour import Prober, settings
from routerd.kernel.sysctl import Sysctls
from routerd.kernel.writer import KernelWriter
from routerd.message import (
    Advertise,
    CloseSession,
    Drain,
    Effect,
    Event,
    Gateway,
    GroupActivity,
    Input,
    InspectGroups,
    NeighbourState,
    Program,
    Resync,
    SessionDown,
    SessionUp,
    Settle,
    SpeakerDown,
    Update,
    Work,
    WriteFailed,
)
from routerd.recording import Recorder
from routerd.router import Router
from routerd.session.codecs import Codecs
from routerd.session.frames import RawUpdate
from routerd.session.speaker import Speaker
from routerd.session.update import UpdateError

SLICE = 0.005
"""Seconds that the core works at a stretch before everything else gets its turn."""
AHEAD = 32768
"""Routes that may wait to be written while more are taken in: 60 ms of the kernel's time."""
SWITCH_INTERVAL = 0.0005
"""Seconds that the core keeps the interpreter from the thread that writes routes: Python's own 5 ms are half of what
the kernel takes for the routes that it is handed at once."""
RESYNC_DELAY = 0.02
"""Seconds that notifications gather before the kernel is read again: a link that flaps sends several."""
REREAD_DELAY = 1.0
WATCHDOG_INTERVAL = 5.0
INSPECTED_AT_ONCE = 16
"""Groups whose buckets are read in one turn: each takes the kernel two milliseconds."""

log = structlog.get_logger()


class StopRequested(Exception):  # noqa: N818 - a request, not an error
    """The operator asked the daemon to stop."""


class Daemon:
    """One running routerd."""

    def __init__(self, config: Config, record: TextIO | None = None) -> None:
        self.config = config
        started = time.monotonic()
        self._recorder = None if record is None else Recorder(record, config, started)
        self.writer = KernelWriter(config.fib.metric)
        self.router = Router(
            config,
            started,
            resilient=self.writer.supports_resilient,
            widest=65535 if self.writer.wide_weights else 256,
        )
        loop = asyncio.get_running_loop()
        self._bulk = Bulk(self.writer, lambda: loop.call_soon_threadsafe(self._unwritten.set))
        self._backlog = Backlog(self.writer.write, self.writer.buckets.took_over, self._bulk)
        self.speaker = Speaker(config, log=log)
        self.sysctls = Sysctls(config.fib)
        self.drains = Drains(config.drain.state_file)
        surroundings = self.speaker, self.sysctls, self.drains
        self.answers = Answers(self.router, *surroundings, take=self._take, unwritten=lambda: len(self._backlog))
        self._codecs = Codecs()
        self._wake = asyncio.Event()
        self._resync = asyncio.Event()
        self._stop = asyncio.Event()
        self._unwritten = asyncio.Event()
        self._progress = asyncio.Event()
        self._ahead = AHEAD
        self._more_input = False
        self._inspected: tuple[int, ...] = ()
        self._inbox: deque[Input] = deque()

    async def run(self, *, flush_on_exit: bool = False) -> None:
        """Run until SIGTERM or SIGINT. The FIB stays as it is, unless `flush_on_exit`."""
        listener, note = server.bind(self.config.api.socket, self.config.api.group)
        if note:
            log.warning(note, remedy=f"groupadd --system {self.config.api.group}, then restart routerd")
        if self.config.fib.groups == "resilient" and not self.writer.supports_resilient:
            self._note(
                "fib",
                "this kernel has no resilient nexthop groups: a node that leaves or joins breaks flows of the others",
                'use Linux 5.13 or newer, or write groups = "hash-threshold"',
            )
        for sysctl in self.sysctls.apply(self.config.fib.manage_sysctls):
            log.info("sysctl", **sysctl)
        for peer in self.drains.peers:
            self._take(Drain(peer, True))
        # Before the first dump, so that what changes after it does not go unheard.
        monitor = Monitor(self.writer.port, self.writer.owns, self._kernel_changed, self._neighbour_silent)
        monitor.start()
        self._read_kernel()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        sys.setswitchinterval(SWITCH_INTERVAL)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.speaker.run())
                group.create_task(self._write_out())
                group.create_task(self._fail_over())
                group.create_task(self._listen())
                group.create_task(self._housekeep())
                group.create_task(self._reconcile())
                group.create_task(self._watch_neighbours())
                group.create_task(self.answers.watch_drains())
                group.create_task(server.serve(self.answers, listener))
                group.create_task(self._report())
                await self._stop.wait()
                raise StopRequested
        except* StopRequested:
            log.info("stopping", fib="flushed" if flush_on_exit else "left in place")
        finally:
            monitor.close()
            with contextlib.suppress(OSError):
                Path(self.config.api.socket).unlink()  # else the next start finds it, perhaps as another user
        while self._backlog:
            self._bulk.wait()
            self._write()
        self._bulk.close()
        if flush_on_exit:
            self._log_refusals(flush(self.config.fib.metric))

    # ------------------------------------------------------------------------------------------ tasks

    async def _write_out(self) -> None:
        """Write what waits, whenever the event loop and the kernel have time for it."""
        while True:
            await self._unwritten.wait()
            self._unwritten.clear()
            self._write()
            await asyncio.sleep(0)

    async def _fail_over(self) -> None:
        """Take in that nodes are lost, however much was said before that."""
        while True:
            await self.speaker.ended.wait()
            self.speaker.ended.clear()
            for message in self.speaker.lost():
                self._hear(message)
                self._wake.set()  # its paths are to be purged

    async def _listen(self) -> None:
        """Feed the core what the speaker says, in slices."""
        async for messages, more in self.speaker.batches():
            self._more_input = more
            started = time.monotonic()
            for message in messages:
                self._hear(message)
                if time.monotonic() - started > SLICE:
                    self._take(Settle(quiet=False))
                    await self._room()
                    started = time.monotonic()
            self._take(Settle(quiet=not more))
            self._wake.set()
            await self._room()

    async def _housekeep(self) -> None:
        """Do what can wait, slice by slice, and what is due by the clock."""
        while True:
            await self._room()
            if self.router.busy:
                self._take(Work())
                self._take(Settle(quiet=not self._more_input))
                continue
            due = self.router.timer
            self._wake.clear()
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - time.monotonic())):
                    await self._wake.wait()
            except TimeoutError:
                self._take(Settle(quiet=not self._more_input))

    async def _reconcile(self) -> None:
        """Read the kernel again when something changed there, and now and then in any case."""
        next_audit = time.monotonic() + self.config.fib.audit_interval
        while True:
            try:
                async with asyncio.timeout(max(0.0, next_audit - time.monotonic())):
                    await self._resync.wait()
                await asyncio.sleep(RESYNC_DELAY)
                self._resync.clear()
                await self._written()
                self._take(objects())
            except TimeoutError:
                next_audit = time.monotonic() + self.config.fib.audit_interval
                await self._audit()
            except OSError as error:
                # The tables change faster than they can be read, or memory is short: both pass.
                log.warning("the kernel could not be read", reason=str(error), again_in=REREAD_DELAY)
                await asyncio.sleep(REREAD_DELAY)
                self._resync.set()
            self._wake.set()

    async def _audit(self) -> None:
        await self._written()
        compared, found = await audit(self.router.fib.expected(), self.config.fib.metric)
        self.writer.adopt(found)
        self._take(compared)
        await self._written()
        self._take(objects())

    async def _watch_neighbours(self) -> None:
        """Have the kernel verify, again and again, that the nodes' link layer answers."""
        liveness = self.config.liveness
        if liveness.method == "off":
            return
        prober = Prober()
        interfaces: set[str] = set()
        while True:
            watched = self.router.watched
            names = {snapshot.interface_name(self.router, gateway) for gateway in watched}
            if not names <= interfaces:
                interfaces |= names
                self.sysctls.require(settings(liveness, sorted(names)))
                self.sysctls.apply(self.config.fib.manage_sysctls)
            for gateway in prober.answering(self.router.silent):
                self._take(NeighbourState(gateway, alive=True))
            prober.probe(watched)
            await asyncio.sleep(liveness.interval)

    async def _report(self) -> None:
        """Tell systemd that the daemon is ready once it listens, and from then on that it lives."""
        systemd = sdnotify.SystemdNotifier()
        await self.speaker.ready.wait()
        log.info("ready", listen=list(self.config.router.listen), port=self.config.router.port)
        systemd.notify("READY=1")
        while True:
            systemd.notify("WATCHDOG=1")
            peers = self.router.rib.peers.values()
            up = sum(peer.session is not None for peer in peers)
            systemd.notify(f"STATUS={up} of {len(peers)} peers up, {self.router.fib.installed} routes in the FIB")
            await asyncio.sleep(WATCHDOG_INTERVAL)

    # ------------------------------------------------------------------------------------------ messages

    def _hear(self, message: Input | RawUpdate) -> None:
        """Decode what is still raw, and hand it over."""
        if isinstance(message, RawUpdate):
            decoded = self._decode(message)
            if decoded is not None:
                self._take(decoded)
            return
        if isinstance(message, SessionUp):
            if not self.speaker.is_up(message.generation):
                return
            self._codecs.up(message)
        self._take(message)
        if isinstance(message, SpeakerDown):
            self._codecs.clear()
        if isinstance(message, SessionDown):
            self._codecs.down(message.peer, message.generation)

    def _decode(self, raw: RawUpdate) -> Update | None:
        try:
            return self._codecs.decode(raw)
        except UpdateError as error:
            log.warning("session reset", peer=raw.peer, code=error.code, subcode=error.subcode, reason=str(error))
            self.speaker.close(raw.peer, raw.generation, error.code, error.subcode, str(error))
            return None

    def _take(self, message: Input) -> None:
        """Hand a message to the core and carry out what comes of it; what that brings is handed over afterwards."""
        self._inbox.append(message)
        if len(self._inbox) > 1:
            return  # from within an effect
        self._handle()
        if self._backlog or self._inspected:
            self._write()

    def _handle(self) -> None:
        while self._inbox:
            now = time.monotonic()
            if self._recorder is not None:
                self._recorder.take(self._inbox[0], now)
            self._execute(self.router.handle(self._inbox[0], now))
            self._inbox.popleft()

    def _write(self) -> None:
        """Write a slice of what waits, and look at groups once they are made."""
        self._inbox.extend(self._backlog.write(SLICE))
        if self._inspected and not self._backlog:
            self._inbox.append(GroupActivity(self._activity(self._inspected)))
            self._inspected = ()
        self._handle()
        self._progress.set()
        if (self._backlog or self._inspected) and not self._backlog.held_up:
            self._unwritten.set()

    async def _room(self) -> None:
        """Let others have their turn, and wait until few enough routes wait to be written."""
        await asyncio.sleep(0)
        while len(self._backlog) > self._ahead or self._inspected:
            self._progress.clear()
            await self._progress.wait()

    async def _written(self) -> None:
        """Wait until all is written; nothing more is taken in meanwhile."""
        self._ahead = 0
        try:
            await self._room()
        finally:
            self._ahead = AHEAD

    def _execute(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Program(operations=operations, urgent=True):
                    for failed in self._backlog.jump(operations):
                        self._take(failed)
                case Program(operations=operations):
                    self._backlog.add(operations)
                case Advertise(peer=peer):
                    if generation := self._codecs.generation(peer):
                        self.speaker.send(peer, generation, self._codecs.encode(effect))
                case CloseSession(peer=peer, code=code, subcode=subcode, reason=reason):
                    log.warning("session closed", peer=peer, reason=reason)
                    if generation := self._codecs.generation(peer):
                        self.speaker.close(peer, generation, code, subcode, reason)
                case InspectGroups(ids=ids):
                    self._inspected = ids
                case Resync(reason=reason):
                    self._kernel_changed(reason)
                case Event(name=name, fields=fields, level=level):
                    getattr(log, level)(name, **fields)

    def _activity(self, ids: Iterable[int]) -> dict[int, int]:
        idle = self.config.fib.idle_timer
        busy: dict[int, int] = {}
        for id in islice(ids, INSPECTED_AT_ONCE):
            with contextlib.suppress(OSError):  # it has gone meanwhile, and says so by its absence
                busy[id] = len(self.writer.buckets.flows(id, idle))
        return busy

    def _kernel_changed(self, reason: str) -> None:
        log.info("kernel changed", reason=reason)
        self._resync.set()

    def _neighbour_silent(self, gateway: Gateway) -> None:
        if self.config.liveness.method != "off" and gateway in self.router.watched:
            self._take(NeighbourState(gateway, alive=False))
            self._wake.set()  # for what failover left to be done later

    def _read_kernel(self) -> None:
        found = dump(self.config.fib.metric)
        self.writer.adopt(found)
        self._take(found)

    def _note(self, where: str, what: str, remedy: str) -> None:
        log.warning(what, where=where, remedy=remedy)
        self.answers.notes.append(ProblemView(where=where, what=what, remedy=remedy))

    @staticmethod
    def _log_refusals(failures: list[WriteFailed]) -> None:
        for failed in failures:
            log.error("kernel refused", operation=repr(failed.operation), errno=failed.errno, text=failed.text)
