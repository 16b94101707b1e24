"""Dumps in files, as `[mrt]` wants them: the table by interval, and what peers announce as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog

from routerd.api.models import ProblemView
from routerd.api.views.problems.monitoring import incomplete, undumped
from routerd.config.monitoring import MrtSection
from routerd.core.message import Advertise, Input, SessionDown, SessionUp, SpeakerDown
from routerd.core.rib.loc_rib import Change
from routerd.core.route import parse_address
from routerd.core.router import Router
from routerd.service.disk import Disk
from routerd.service.observing import Observers
from routerd.service.tables import dump
from routerd.session.frames import RawUpdate
from routerd.telemetry.metrics.figures import DumpFigures
from routerd.telemetry.mrt.files import TABLE, UPDATES, TableFile, append, name, tidy
from routerd.telemetry.mrt.records import ESTABLISHED, IDLE, OPEN_CONFIRM, Ends, message, state_change

LIMIT = 16 << 20
"""Octets of updates that wait to be written at most."""
EARLY = 0.1
"""Seconds by which the two clocks may differ when it is time for a table."""
OFTEN = 1.0
"""Seconds between two writings of updates."""
LAST = 2.0
"""Seconds that the last writing may take when routerd ends, or is to dump otherwise."""
_HEADER = b"\xff" * 16
_OVERHEAD = 60
"""Octets that a record takes in memory beside its own."""

log = structlog.get_logger()


class Dumps:
    """What `[mrt]` asks for."""

    def __init__(self, section: MrtSection, router: Router, observers: Observers) -> None:
        self._section = section
        self._directory = Path(section.directory)
        self._router = router
        self._observers = observers
        self._reasons: dict[str, str] = {}
        self._counts = {
            kind: _Counts() for kind, wanted in ((TABLE, section.interval), (UPDATES, section.updates)) if wanted
        }
        self._disks = {TABLE: Disk(), UPDATES: Disk()}
        self._lost = 0
        """Records of updates that are not in the file of now."""

    @property
    def problems(self) -> Iterator[ProblemView]:
        """What is not written, and why."""
        for kind, reason in self._reasons.items():
            yield from undumped(kind, reason)
        for kind, disk in self._disks.items():
            if late := disk.late(time.monotonic()):
                yield from undumped(kind, f"the disk has not answered for {late:.0f} s")
        if self._lost:
            yield from incomplete(UPDATES, self._lost)

    @property
    def figures(self) -> Iterator[DumpFigures]:
        """What was written, of what is to be."""
        for kind, counts in self._counts.items():
            yield DumpFigures(kind, counts.written, counts.failed, counts.lost, counts.last)

    async def run(self) -> None:
        """Dump until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self._section.interval:
                group.create_task(self._tables())
            if self._section.updates:
                group.create_task(self._updates())

    async def _tables(self) -> None:
        """Dump the table at the full intervals of the clock, as collectors do."""
        interval = self._section.interval
        while True:
            await asyncio.sleep(interval - time.time() % interval)
            if interval - time.time() % interval < EARLY:
                continue  # by the clock on the wall it is not time yet
            try:
                await self._table(time.time())
            except OSError as error:
                self._failed(TABLE, error)
            else:
                self._reasons.pop(TABLE, None)
                self._counts[TABLE].wrote()

    async def _table(self, now: float) -> None:
        do = self._disks[TABLE].do
        file = await do(partial(TableFile, self._directory, now))
        try:
            async with contextlib.aclosing(dump(self._router)) as parts:
                async for part in parts:
                    await do(partial(file.write, part))
            await do(file.finish)
        except BaseException:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST):
                    await do(file.abandon)
            raise
        await do(partial(tidy, self._directory, TABLE, self._section.keep, now))

    async def _updates(self) -> None:
        loop = asyncio.get_running_loop()
        failed: asyncio.Future[None] = loop.create_future()
        notes = Notes(self._router)
        self._observers.add(notes, failed.set_exception)
        begun = time.time()
        try:
            await self._write(b"", begun)  # if that cannot be done, it is known before there is something to write
            while True:
                await asyncio.wait({failed}, timeout=OFTEN)
                if failed.done():
                    failed.result()
                now = time.time()
                if now // self._section.rotate != begun // self._section.rotate:
                    begun, self._lost = now, 0
                    await self._write(b"", begun)
                octets, count, lost = notes.take()
                if octets and not await self._write(octets, begun):
                    lost += count
                if lost and not self._lost:
                    log.warning("records of updates are lost", file=name(UPDATES, begun), records=lost)
                self._lost += lost
                self._counts[UPDATES].lost += lost
        finally:
            self._observers.remove(notes)
            octets, count, _ = notes.take()
            try:
                async with asyncio.timeout(LAST):
                    await self._disks[UPDATES].do(partial(append, self._directory, begun, octets))
            except OSError as error:  # or TimeoutError, which is one
                reason = error.strerror or f"the disk does not answer within {LAST:.0f} s"
                log.warning("the last records of updates are lost", records=count, reason=reason)

    async def _write(self, octets: bytes, begun: float) -> bool:
        """Append to the file that began then; False if that cannot be done."""
        do = self._disks[UPDATES].do
        try:
            await do(partial(append, self._directory, begun, octets))
        except OSError as error:
            self._failed(UPDATES, error)
            return False
        try:
            await do(partial(tidy, self._directory, UPDATES, self._section.keep, begun))
        except OSError as error:
            self._failed(UPDATES, error)
        else:
            self._reasons.pop(UPDATES, None)
            if octets:
                self._counts[UPDATES].wrote()
        return True

    def _failed(self, kind: str, error: OSError) -> None:
        reason = f"{error.filename or self._directory}: {error.strerror}"
        if self._reasons.get(kind) != reason:
            log.warning("a dump cannot be written", kind=kind, reason=reason, remedy="routerd status says more")
        self._reasons[kind] = reason
        self._counts[kind].failed += 1


@dataclass(slots=True)
class _Counts:
    written: int = 0
    failed: int = 0
    lost: int = 0
    last: float = 0.0

    def wrote(self) -> None:
        self.written += 1
        self.last = time.time()


class Notes:
    """Takes down what peers announce, and their sessions, as MRT records. An observer."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._ends: dict[str, tuple[int, Ends]] = {}
        self._records: list[bytes] = []
        self._octets = 0
        self._lost = 0
        for peer in router.rib.peers.values():
            if peer.session is not None:
                self._ends[peer.address] = peer.session.generation, _ends(peer.session)

    def take(self) -> tuple[bytes, int, int]:
        """Return the records since the last time, how many they are, and for how many more there was no room."""
        taken = b"".join(self._records), len(self._records), self._lost
        self._records, self._octets, self._lost = [], 0, 0
        return taken

    def heard(self, raw: RawUpdate) -> None:
        """Note an UPDATE as it came."""
        generation, ends = self._ends.get(raw.peer, (0, None))
        if ends is not None and generation == raw.generation:
            octets = _HEADER + (len(raw.body) + 19).to_bytes(2, "big") + b"\2" + raw.body
            self._note(message(time.time(), ends, octets))

    def handled(self, message: Input) -> None:
        """Note that a session came up, or ended."""
        match message:
            case SessionUp(peer=address, generation=generation):
                peer = self._router.rib.peers.get(address)
                if peer is not None and peer.session is message:
                    if address in self._ends:
                        self._ended(address)  # another one takes its place
                    self._ends[address] = generation, _ends(message)
                    self._note(state_change(time.time(), self._ends[address][1], OPEN_CONFIRM, ESTABLISHED))
            case SessionDown(peer=address, generation=generation):
                if self._ends.get(address, (0,))[0] == generation:
                    self._ended(address)
            case SpeakerDown():
                for address in list(self._ends):
                    self._ended(address)

    def changed(self, changes: list[Change]) -> None:
        """What is decided is not for these files."""

    def advertised(self, advertise: Advertise) -> None:
        """Nor is what peers are told."""

    def _ended(self, address: str) -> None:
        _, ends = self._ends.pop(address)
        self._note(state_change(time.time(), ends, ESTABLISHED, IDLE))

    def _note(self, record: bytes) -> None:
        if self._octets > LIMIT:
            self._lost += 1
            return
        self._octets += len(record) + _OVERHEAD
        self._records.append(record)


def _ends(up: SessionUp) -> Ends:
    as4 = up.received.four_octet_as and up.sent.four_octet_as
    return Ends(up.received.asn, up.sent.asn, parse_address(up.peer), parse_address(up.local), as4)
