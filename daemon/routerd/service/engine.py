"""The engine: it hands messages to the core, carries out what comes of them, and decides nothing.

What is to be written to the kernel waits in a backlog, which is written in slices between messages and, where there
is much of it, by a thread. Who feeds the core much waits for `room` now and then, so that it gets ahead of the kernel
by a fraction of a second only.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from routerd.config.model import Config
from routerd.core.message import (
    Advertise,
    CloseSession,
    Effect,
    Enable,
    Event,
    FindUnused,
    Identify,
    Input,
    InspectGroups,
    KeepPlace,
    Operation,
    PartnerMessage,
    Program,
    ReadBuckets,
    Reconfigure,
    Refresh,
    Resync,
    SessionDown,
    SessionUp,
    Settle,
    Shutdown,
    SpeakerDown,
    TellPartner,
    Update,
)
from routerd.core.route import format_prefix
from routerd.core.router import Router
from routerd.core.withheld import TooLarge
from routerd.kernel.backlog import Backlog
from routerd.kernel.bulk import Bulk
from routerd.kernel.monitor import OVERRUN
from routerd.kernel.writer import KernelWriter
from routerd.service.changes import Changes
from routerd.service.enquiries import Enquiries
from routerd.service.membership import Membership
from routerd.service.observing import Observers
from routerd.service.recording import Recorder
from routerd.session.codecs import Codecs
from routerd.session.encode import route_refresh
from routerd.session.frames import RawUpdate
from routerd.session.outbox import OUT_OF_RESOURCES, Outbox
from routerd.session.speaker import Speaker
from routerd.session.update import UpdateError
from routerd.telemetry.metrics.tally import Tally

SLICE = 0.005
"""Seconds that the event loop works at a stretch, all together, before it looks around again. Whoever is late in it
does one thing at least."""
AHEAD = 32768
"""Routes that may wait to be written while more are taken in: 60 ms of the kernel's time."""

log = structlog.get_logger()


class Engine:
    """The core between the speaker and the kernel, whose `writer` it has.

    Events: `wake` is set when the core may have something to do by itself, `resync` when the kernel is to be read,
    `identify` when link-layer addresses are to be found out. `bucket_counts` tells how many buckets of a group lead
    to which gateway, as last read; `changes` who changed a group last, of which `membership` tells; `withheld` what
    peers do not hear because it does not fit into a message; `tally` what is counted for metrics; `handled` how many
    messages the core has handled: between two of them it knows the same. `lasted` returns for how many seconds the
    event loop has not looked around. `heed` is shown each effect, `observers` are told of all that happens;
    `tell_partner` says something to the other router of the pair, if there is one.
    """

    def __init__(
        self,
        config: Config,
        router: Router,
        writer: KernelWriter,
        speaker: Speaker,
        lasted: Callable[[], float] = lambda: 0.0,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.router = router
        self.wake = asyncio.Event()
        self.resync = asyncio.Event()
        self.identify = asyncio.Event()
        self.recorder: Recorder | None = None
        self.tally = Tally(router)
        self.heed: Callable[[Effect], None] | None = None
        self.tell_partner: Callable[[PartnerMessage], None] | None = None
        self.observers = Observers(router.planning)
        self.changes = Changes()
        self.membership = Membership(router.fib.groups, self.changes)
        self._writer = writer
        self._speaker = speaker
        self._lasted = lasted
        self._bulk = Bulk(writer.routes, writer.groups, lambda: loop.call_soon_threadsafe(self._unwritten.set))
        self._backlog = Backlog(writer.write, writer.buckets.took_over, self._bulk, writer.unfinished)
        self._codecs = Codecs(_tell_withheld)
        self.withheld = self._codecs.withheld
        self._outbox = Outbox(self._codecs, self._send, speaker.close)
        self.bucket_counts = writer.memory.counts
        self.translation = speaker.translation
        speaker.translation.taken = self._outbox.taken
        self.handled = 0
        self._inbox: deque[Input] = deque()
        self._notes: deque[Callable[[], None]] = deque()
        """What is to be counted and remembered of what was done: nothing waits for that."""
        self._enquiries = Enquiries(writer.buckets, writer.memory, config.fib.idle_timer)
        self._unwritten = asyncio.Event()
        self._progress = asyncio.Event()
        self._ahead = AHEAD
        self._broken: Exception | None = None

    @property
    def ports(self) -> tuple[int, ...]:
        """The netlink ports from which routes, nexthops and groups are written."""
        return self._writer.port, self._bulk.port

    @property
    def unwritten(self) -> int:
        """How many routes, and other operations, wait to be written."""
        return self._backlog.length

    def configure(self, config: Config) -> None:
        """Have the core and the speaker go on with another configuration."""
        self._enquiries.idle_timer = config.fib.idle_timer
        self.take(Reconfigure(config))
        self._speaker.reconfigure(config)
        self.wake.set()

    def shut(self, order: Shutdown, text: str) -> None:
        """Give a peer no session, and end the one that it has; it is told `text`."""
        self._speaker.shut(order.peer, text)  # first: what the core says of the peer's place counts
        self.take(order)
        self.wake.set()

    def enable(self, peer: str) -> None:
        """Let a peer have a session again that was shut down."""
        self.take(Enable(peer))
        self._speaker.enable(peer)

    def dial(self, peer: str) -> None:
        """Dial a peer without a session at once."""
        self._speaker.dial(peer)

    def reset(self, up: SessionUp) -> None:
        """Reset a session."""
        self._speaker.reset(up.peer, up.generation, dynamic=up.dynamic)

    # ------------------------------------------------------------------------------------------ messages

    def hear(self, message: Input | RawUpdate) -> None:
        """Decode what is still raw, and hand it over."""
        if isinstance(message, RawUpdate):
            try:
                decoded = self._codecs.decode(message)
            except Exception as error:  # noqa: BLE001 - it is logged there
                self._unreadable(message, error)
                return
            if decoded is not None:
                if self.observers:
                    self.observers.heard(message)
                self.take(decoded)
            return
        if isinstance(message, SessionUp):
            self._codecs.up(message)
        self.take(message)
        if isinstance(message, SessionUp) and (down := self._speaker.overtaken(message.generation)):
            self.hear(down)
        if isinstance(message, SpeakerDown):
            self._codecs.clear()
            self._outbox.clear()
        if isinstance(message, SessionDown):
            self._codecs.down(message.peer, message.generation)
            self._outbox.down(message.peer, message.generation)

    def _unreadable(self, raw: RawUpdate, error: Exception) -> None:
        """Nothing has been done yet: an UPDATE that cannot be read costs its peer the session, and nobody else
        anything."""
        if isinstance(error, UpdateError):
            log.warning("session reset", peer=raw.peer, code=error.code, subcode=error.subcode, reason=str(error))
            self._speaker.close(raw.peer, raw.generation, error.code, error.subcode, str(error))
            return
        why = "out of memory" if isinstance(error, MemoryError) else f"internal error: {error!r}"
        log.exception("an UPDATE could not be read", peer=raw.peer, octets=len(raw.body), reason=why)
        self._speaker.close(raw.peer, raw.generation, *OUT_OF_RESOURCES, why)

    def take(self, message: Input) -> None:
        """Hand a message to the core and carry out what comes of it; what that brings is handed over afterwards."""
        self._inbox.append(message)
        if len(self._inbox) > 1:
            return  # from within an effect
        try:
            self._handle()
            if self._backlog.length or self._enquiries.waiting:
                self._write()
            elif not isinstance(message, Update):
                self._catch_up()  # of what an UPDATE changes: at the end of its batch, when it is planned
        except Exception as error:
            # Whoever handed the message over may live with it: but what was to be done is half done.
            self._broken = error
            self._unwritten.set()
            raise

    def _handle(self) -> None:
        while self._inbox:
            message, now = self._inbox[0], time.monotonic()
            if self.recorder is not None:
                self.recorder.take(message, now)
            if not isinstance(message, Update | Settle):
                self.tally.take(message, now)
            effects = self.router.handle(message, now)
            if isinstance(message, Update):
                self._notes.append(partial(self.tally.heard, message, now, news=self.router.planning.news))
            if self.observers:
                self.observers.handled(message)
            for effect in effects:
                self._execute(effect, now)
            self._inbox.popleft()
            self.handled += 1

    def _catch_up(self) -> None:
        """Note, in its order, what nothing waits for: of what is to be written, once that is done."""
        while self._notes:
            self._notes.popleft()()
        self.tally.handled(self._backlog.length, time.monotonic())

    def kernel_changed(self, reason: str) -> None:
        """Have the kernel read again."""
        # What is rare must not go under in what is frequent: lines of an event that repeat are held back by level.
        (log.warning if reason == OVERRUN else log.info)("kernel changed", reason=reason)
        self.resync.set()

    def _send(self, peer: str, generation: int, messages: bytes) -> None:
        self.tally.sent(peer, messages)
        self._speaker.send(peer, generation, messages)

    def _execute(self, effect: Effect, now: float) -> None:
        match effect:
            case Program(operations=operations, urgent=True):
                failures = self._backlog.jump(operations)
                seconds = time.monotonic() - now
                self._notes += partial(self.tally.failed_over, operations, seconds), partial(self._note, operations)
                for failed in failures:
                    self.take(failed)
            case Program(operations=operations):
                self._backlog.add(operations)
                self._notes += partial(self.tally.programmed, operations), partial(self._note, operations)
            case Advertise():
                if self.observers:
                    self.observers.advertised(effect)
                self._outbox.put(effect)
            case Refresh(peer=peer, families=families):
                if generation := self._codecs.generation(peer):
                    self._send(peer, generation, route_refresh(families))
            case CloseSession(peer=peer, code=code, subcode=subcode, reason=reason):
                log.warning("session closed", peer=peer, reason=reason)
                if generation := self._codecs.generation(peer):
                    self._speaker.close(peer, generation, code, subcode, reason)
            case KeepPlace(peer=peer, on=on):
                self._speaker.keep_place(peer, on=on)
            case Identify():
                self.identify.set()
            case InspectGroups() | FindUnused() | ReadBuckets():
                self._enquiries.ask(effect)
            case TellPartner(message=message) if self.tell_partner is not None:
                self.tell_partner(message)
            case Resync(reason=reason):
                self.kernel_changed(reason)
            case Event(name=name, fields=fields, level=level):
                getattr(log, level)(name, **fields)
        if self.heed is not None:
            self.heed(effect)  # afterwards: failover waits for nobody who only watches

    def _note(self, operations: Sequence[Operation]) -> None:
        self.membership.note(operations)
        self.changes.note(operations, time.monotonic())

    # ------------------------------------------------------------------------------------------ writing

    async def write_out(self) -> None:
        """Write what waits, whenever the event loop and the kernel have time for it; raise what broke the engine."""
        while True:
            await self._unwritten.wait()
            self._unwritten.clear()
            if self._broken is not None:
                raise self._broken
            self._write()
            await asyncio.sleep(0)

    async def room(self) -> None:
        """Let others have their turn, and wait until few enough routes wait to be written."""
        await asyncio.sleep(0)
        while self._backlog.length > self._ahead or self._enquiries.inspected:
            self._progress.clear()
            await self._progress.wait()

    async def written(self) -> None:
        """Wait until all is written; nothing more is taken in meanwhile."""
        self._ahead = 0
        try:
            await self.room()
        finally:
            self._ahead = AHEAD

    def finish(self) -> None:
        """Write all that waits, and stop: blocking."""
        self._backlog.end()
        while self._backlog.length:
            self._bulk.wait()
            self._write()
        self._bulk.close()

    def _write(self) -> None:
        """Write a slice of what waits, and look at groups once they are made."""
        try:
            told: list[Input] = [*self._backlog.write(SLICE - self._lasted())]
        finally:
            self._catch_up()
        if not self._backlog.length:
            told += self._enquiries.answers()
        self._inbox.extend(told)
        self._handle()
        self._progress.set()
        if told:
            self.wake.set()  # the core may want to go on later
        if (self._backlog.length or self._enquiries.waiting) and not self._backlog.held_up:
            self._unwritten.set()


def _tell_withheld(peer: str, found: TooLarge) -> None:
    prefix = format_prefix(found.prefixes[0])
    log.warning(
        "routes are not advertised: their attributes are too large",
        peer=peer,
        prefix=prefix,
        prefixes=len(found.prefixes),
        octets=found.octets,
        limit=found.limit,
    )
