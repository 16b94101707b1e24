"""A session with a collector: dialled, told all that there is and what happens, and dialled again when it ends.

What a collector does not take waits within a bound of octets; beyond that it loses its session. Nobody else waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import random
import socket
import time
from collections.abc import Callable, Iterator

import structlog

from routerd import __version__
from routerd.api.models import ProblemView
from routerd.api.views.problems.monitoring import lost_collector
from routerd.config.monitoring import BmpCollector
from routerd.core.router import Router
from routerd.service.bmp.feed import Feed
from routerd.service.bmp.notes import Notes
from routerd.service.observing import Observers
from routerd.session.translation import Translation
from routerd.telemetry.bmp import messages
from routerd.telemetry.metrics.figures import CollectorFigures

SLICE = 0.001
"""Seconds of work at a stretch: a fifth of what UPDATEs get, where both have much to do."""
CONNECT_TIME = 10.0
ANSWER_TIME = 90
"""Seconds that a collector's kernel may acknowledge nothing (TCP_USER_TIMEOUT, tcp(7))."""
QUIET_TIME = 30
"""Seconds without anything to tell until its kernel is asked whether it is there: Linux would wait for two hours."""
_UNSENT = 1 << 18
"""Octets that wait for the socket; more is made once it has taken those."""
_ASKED, _UNSPECIFIED, _RESOURCES = 0, 1, 2
"""Reasons of a termination."""

log = structlog.get_logger()


class SessionEnded(Exception):  # noqa: N818 - an end is no error of ours
    """Why a session with a collector is over, in a line."""


class Collector:
    """One `[[bmp]]`. `reason` is why there is no session; empty while there is one, or none was tried yet."""

    def __init__(self, section: BmpCollector, router: Router, observers: Observers, translation: Translation) -> None:
        self._section = section
        self._router = router
        self._observers = observers
        self._translation = translation
        self._fields = {"collector": section.name, "address": section.address, "port": section.port}
        self._again_at = 0.0
        self._sessions = self._dropped = 0
        self._waiting: Callable[[], int] | None = None
        """Returns the octets that wait; None without a session."""
        self.reason = ""

    @property
    def problems(self) -> Iterator[ProblemView]:
        """That there is no session, and why."""
        if self.reason:
            again = max(0.0, self._again_at - time.monotonic())
            section = self._section
            yield from lost_collector(section.name, f"{section.address} port {section.port}", self.reason, again)

    @property
    def figures(self) -> Iterator[CollectorFigures]:
        """Its sessions, and what waits for it."""
        waiting = self._waiting
        octets = 0 if waiting is None else waiting()
        yield CollectorFigures(self._section.name, waiting is not None, self._sessions, self._dropped, octets)

    async def run(self) -> None:
        """Dial until cancelled: later and later, until a session has lasted (RFC 7854 section 3.2)."""
        delay = self._section.min_retry
        while True:
            begun = time.monotonic()
            try:
                await self._session()
            except (OSError, SessionEnded) as error:
                reason = _explained(error)
                if reason != self.reason:
                    log.warning("no BMP session", reason=reason, again_in=delay, **self._fields)
                self.reason = reason
            if time.monotonic() - begun > max(delay, CONNECT_TIME):
                delay = self._section.min_retry
            wait = delay * random.uniform(0.75, 1.0)
            self._again_at = time.monotonic() + wait
            await asyncio.sleep(wait)
            delay = min(2 * delay, self._section.max_retry)

    async def _session(self) -> None:
        """One session, from start to end; SessionEnded or OSError says why."""
        section = self._section
        async with asyncio.timeout(CONNECT_TIME):
            reader, writer = await asyncio.open_connection(section.address, section.port)
        connection: socket.socket = writer.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, ANSWER_TIME * 1000)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, QUIET_TIME)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, QUIET_TIME)
        writer.transport.set_write_buffer_limits(_UNSENT)
        notes = Notes(section.views, section.buffer, self._router, self._translation)
        failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._observers.add(notes, failed.set_exception)
        tasks = [
            asyncio.ensure_future(each)
            for each in (
                self._tell(writer, notes),
                _until_full(notes, section.buffer),
                _until_closed(reader),
            )
        ]
        reason = _UNSPECIFIED
        log.info("BMP session", **self._fields)
        self._sessions += 1
        self._waiting = lambda: notes.octets + writer.transport.get_write_buffer_size()
        self.reason = ""
        try:
            done, _ = await asyncio.wait([*tasks, failed], return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        except asyncio.CancelledError:
            reason = _ASKED
            raise
        except SessionEnded:
            if notes.full.is_set():
                reason = _RESOURCES
                self._dropped += 1
            raise
        finally:
            self._waiting = None
            self._observers.remove(notes)
            for task in tasks:
                task.cancel()
            failed.cancel()
            await asyncio.gather(*tasks, failed, return_exceptions=True)
            if writer.transport.get_write_buffer_size():
                writer.transport.abort()  # what is left of it would come too late, and nobody waits for it
            else:
                writer.write(messages.termination(reason))
            with contextlib.suppress(OSError):
                writer.close()

    async def _tell(self, writer: asyncio.StreamWriter, notes: Notes) -> None:
        """Tell all that there is, and then go on with what happens; the table waits for the news, not the other way
        round."""
        feed = Feed(self._router, self._section.views)
        writer.write(messages.initiation(socket.gethostname(), f"routerd {__version__}, Linux {platform.release()}"))
        work = self._work(feed, notes)
        begun = time.monotonic()
        for octets in work:
            if octets:
                writer.write(octets)
            if writer.transport.get_write_buffer_size() > _UNSENT:
                await writer.drain()
                begun = time.monotonic()
            elif time.monotonic() - begun > SLICE:
                await asyncio.sleep(0)
                begun = time.monotonic()
            if octets is None:
                notes.woken.clear()
                if not notes:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._until_report()):
                            await notes.woken.wait()
                begun = time.monotonic()

    def _work(self, feed: Feed, notes: Notes) -> Iterator[bytes | None]:
        """Yield what to send next, for ever; None when there is nothing."""
        if "loc-rib" in self._section.views:
            yield messages.loc_rib_up(time.time(), feed.loc_rib)
        for up in notes.begin():
            yield feed.up(up)
        table: Iterator[bytes] | None = feed.table()
        self._reported = time.monotonic()
        while True:
            if notes:
                yield from feed.tell(*notes.take())
            elif self._until_report() == 0:
                self._reported = time.monotonic()
                yield from feed.statistics(notes)
            elif table is not None:
                part = next(table, None)
                if part is None:
                    table = None
                else:
                    yield part
            else:
                yield None

    def _until_report(self) -> float | None:
        """Return in how many seconds a report is due; None if never."""
        if not self._section.statistics:
            return None
        return max(0.0, self._reported + self._section.statistics - time.monotonic())


async def _until_full(notes: Notes, limit: int) -> None:
    """Wait until too much waits for the collector."""
    await notes.full.wait()
    raise SessionEnded(f"it takes too little: more than {limit} octets waited for it")


async def _until_closed(reader: asyncio.StreamReader) -> None:
    """Wait for the end of the connection; what a collector says means nothing (RFC 7854 section 3.2)."""
    while await reader.read(4096):
        pass
    raise SessionEnded("it has closed the connection")


def _explained(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno).lower()  # asyncio's own text says that a call failed
    return str(error)
