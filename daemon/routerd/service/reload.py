"""The configuration while it runs: taken over whole or not at all, confirmed or taken back, and kept."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import structlog

from routerd.api.endpoints import Failure
from routerd.api.models import ChangeView, HistoryView, ReloadView, ResetView
from routerd.config.diff import Change, changes, resets
from routerd.config.impact import Impact
from routerd.config.load import validated
from routerd.config.model import Config
from routerd.config.source import ConfigError, Sources, read
from routerd.service.exposing import try_out
from routerd.service.foreseeing import Foreseer
from routerd.service.journal import Entry, Journal, digest
from routerd.service.unusable import is_same, unusable

FORESEEING = 3.0
"""Seconds that a change waits for its forecast, which is no more than information: a rollback may be urgent."""
LOOKING = 7.0
"""Seconds that the forecast of a dry run may take: beyond the time of a request nobody would read it."""

log = structlog.get_logger()


class Wanted(NamedTuple):
    """Files, what they say, and what tells the daemon's own ones from others (`digest`)."""

    sources: Sources
    config: Config
    own: str


class Reload:
    """Takes over configurations. `apply` puts one in force; `path` is the daemon's own file.

    What waits to be confirmed is taken back after its time, and by a restart.
    """

    def __init__(
        self, path: Path, config: Config, journal: Journal, foreseer: Foreseer, apply: Callable[[Config], None]
    ) -> None:
        self.config = config
        self.differs = ""
        """Why what runs is not what the daemon's own file says; empty if it is."""
        self.results: Counter[str] = Counter()
        """How many reloads and rollbacks were `taken`, and how many `refused`."""
        self._path = path
        self._journal = journal
        self._foreseer = foreseer
        self._apply = apply
        self._before: Config | None = None
        """What a change that waits to be confirmed is taken back to."""
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._expiry: asyncio.Task[None] | None = None
        self._busy = asyncio.Lock()
        self._looking = asyncio.Lock()
        """Held by a dry run. Who asked for it may have gone: were there more, they would pile up."""

    @property
    def unconfirmed(self) -> float | None:
        """Seconds until the running configuration is taken back; None if it is to stay."""
        return None if self._before is None else max(0.0, self._until - time.monotonic())

    @property
    def lost(self) -> str:
        """Why the history of an earlier life could not be read; empty if it was, or once there is a new one."""
        return self._journal.unread

    # ------------------------------------------------------------------------------------------ what is asked for

    async def diff(self, path: str | None) -> ReloadView:
        """Return what a file would change, and what that would cost. Failure if it cannot be used, or while another
        dry run is under way."""
        if self._looking.locked():
            raise Failure(503, "another dry run is under way; ask again when it has ended")
        async with self._looking:
            wanted = await self._read(path)
            found = changes(self.config, wanted.config)
            view = self._view(wanted.config, found, dry=True, files=wanted.sources)
            return await self._foreseen(view, wanted.config, found, LOOKING)

    async def reload(self, path: str | None, confirm: int, by: str) -> ReloadView:
        """Put a file in force, for `confirm` seconds unless that is 0. Failure, and nothing changes, if it cannot be
        used, if a key needs a restart, or if a change waits to be confirmed."""
        with self._counted():
            return await self._take(path, confirm, by)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        result = "refused"
        try:
            yield
            result = "taken"
        finally:
            self.results[result] += 1

    async def _take(self, path: str | None, confirm: int, by: str) -> ReloadView:
        async with self._busy:
            self._none_waits()
            wanted = await self._read(path)
            found = changes(self.config, wanted.config)
            view = self._view(wanted.config, found, dry=False, files=wanted.sources)
            view = await self._foreseen(view, wanted.config, found, FORESEEING)
            await self._commit(wanted, found, by, confirm=confirm)
            return view | {"confirm_seconds": self.unconfirmed}

    async def confirm(self, by: str) -> ReloadView:
        """Have the change that waits for it stay. Failure if there is none."""
        async with self._busy:
            if self._before is None:
                raise Failure(409, "nothing waits to be confirmed")
            await self._stored(self._journal.confirm)
            log.info("configuration is confirmed", by=by)
            self._settled()
            return self._view(self.config, [], dry=False)

    async def rollback(self, number: int, by: str) -> ReloadView:
        """Go back to what ran before the last change, or, if `number` is not 0, to that entry of the history."""
        with self._counted():
            return await self._go_back(number, by)

    async def _go_back(self, number: int, by: str) -> ReloadView:
        async with self._busy:
            if self._before is not None and not number:
                return await self._take_back(by)
            entry = self._entry(number)
            self._none_waits()
            wanted = await asyncio.to_thread(_kept, entry, self._path)
            found = changes(self.config, wanted.config)
            view = self._view(wanted.config, found, dry=False)
            view = await self._foreseen(view, wanted.config, found, FORESEEING)
            await self._commit(wanted, found, f"{by}, back to {entry.number}", confirm=0)
            return view

    async def history(self) -> list[HistoryView]:
        """Return what ran, the newest first, each with its difference to the one before."""
        return await asyncio.to_thread(self._history, list(self._journal.entries))

    @staticmethod
    def _history(entries: list[Entry]) -> list[HistoryView]:
        found: list[HistoryView] = []
        before: Config | None = None
        for entry in entries:
            config: Config | None = None
            with contextlib.suppress(ConfigError):  # one of another version of routerd
                config = validated(Sources(entry.sources()))
            differences = [] if before is None or config is None else changes(before, config)
            found.append(
                HistoryView(
                    number=entry.number,
                    time=entry.time,
                    by=entry.by,
                    confirmed=entry.confirmed,
                    changes=[_change(each) for each in differences],
                )
            )
            before = config
        return found[::-1]

    async def _foreseen(self, view: ReloadView, wanted: Config, found: list[Change], seconds: float) -> ReloadView:
        """Return the view with what a change does to routes and flows, or with why that is not known.

        Nothing that goes wrong with it keeps a change from being made.
        """
        if not found:
            return view
        if any(each.cost.impact is Impact.RESTART for each in found):
            return view | {"unforeseen": "it takes a restart"}
        try:
            async with asyncio.timeout(seconds):
                return view | {"forecast": await self._foreseer.foresee(self.config, wanted)}
        except TimeoutError:
            return view | {"unforeseen": f"that takes longer than {seconds:g} s"}
        except Exception as error:
            log.exception("a change is not foreseen")
            return view | {"unforeseen": f"that has failed ({error!r}); the log says more"}

    # ------------------------------------------------------------------------------------------ carrying out

    async def _read(self, path: str | None) -> Wanted:
        # In a thread, because to check thousands of peers takes seconds.
        try:
            return await asyncio.to_thread(_wanted, self._path, path)
        except ConfigError as error:
            raise unusable(self._path, path, error) from error

    def _none_waits(self) -> None:
        if self._before is not None:
            raise Failure(409, "a change waits to be confirmed: routerd confirm, or routerd rollback, first")

    async def _commit(self, taken: Wanted, found: list[Change], by: str, *, confirm: int) -> None:
        """Put a configuration in force and note it, or raise Failure. Nothing is noted if nothing is new."""
        sources, wanted, own = taken
        if refused := [each for each in found if each.cost.impact is Impact.RESTART]:
            raise Failure(409, "\n".join(f"{each.key}: takes a restart: {each.cost.why}" for each in refused))
        await asyncio.to_thread(_bindable, self.config, wanted)
        try:
            await asyncio.to_thread(try_out, self.config.metrics, wanted.metrics)
        except (OSError, ValueError) as error:
            raise Failure(409, str(error)) from error
        if not found and own == self._journal.own and not self.differs:
            return
        await self._stored(lambda: self._journal.add(sources.files, own, time.time(), by, confirmed=not confirm))
        self._journal.unread = ""
        before, self.config = self.config, wanted
        self.differs = "" if self._journal.running == own else f"{sources.files[0].name} as it was is in force"
        log.info("configuration changes", by=by, keys=[each.key for each in found], confirm=confirm or None)
        if confirm:
            self._before, self._until = before, time.monotonic() + confirm
            self._timer = asyncio.get_running_loop().call_later(confirm, self._expire, self._until)
        if found:
            self._apply(wanted)

    async def _stored(self, change: Callable[[], object]) -> None:
        try:
            await asyncio.to_thread(change)
        except OSError as error:
            path = self._journal.path
            raise Failure(507, f"{path} cannot be written: {error.strerror}; nothing has changed") from error

    def _expire(self, until: float) -> None:
        self._expiry = asyncio.get_running_loop().create_task(self._unconfirmed(until))

    async def _unconfirmed(self, until: float) -> None:
        async with self._busy:
            # It may have been confirmed while this waited, and another change may wait now.
            if self._before is not None and self._until == until:
                await self._take_back("routerd: it was not confirmed in time")

    async def _take_back(self, by: str) -> ReloadView:
        """End what waits to be confirmed. Even a disk that is full does not keep it in force."""
        before = self._before
        assert before is not None, "the callers have looked"
        view = self._view(before, changes(self.config, before), dry=False)
        try:
            await asyncio.to_thread(self._journal.drop)
        except OSError as error:
            log.error("the journal cannot be written", path=str(self._journal.path), reason=error.strerror)
        log.warning("configuration is taken back", by=by, keys=[each["key"] for each in view["changes"]])
        self._settled()
        self.config = before
        self._apply(before)
        same = await asyncio.to_thread(_digest_of, self._path) == self._journal.running
        self.differs = "" if same else f"what {self._path} says was taken back"
        return view | {"confirm_seconds": None}

    def _settled(self) -> None:
        self._before = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _entry(self, number: int) -> Entry:
        entries = self._journal.confirmed
        found = self._journal.find(number) if number else entries[-2] if len(entries) > 1 else None
        if found is None:
            kept = f"{entries[0].number} to {entries[-1].number}" if entries else "none"
            raise Failure(404, f"the history has no such configuration (kept: {kept}): routerd history")
        return found

    # ------------------------------------------------------------------------------------------ showing

    def _view(self, after: Config, found: list[Change], *, dry: bool, files: Sources | None = None) -> ReloadView:
        peers = self._foreseer.router.rib.peers
        up = [address for address, peer in peers.items() if peer.session is not None]
        lost = resets(self.config, after, up)
        return ReloadView(
            files=[] if files is None else [each.name for each in files.files],
            applied=not dry,
            changes=[_change(each) for each in found],
            resets=[ResetView(peer=peers[address].name, keys=keys) for address, keys in lost.items()],
            forecast=None,
            unforeseen="",
            confirm_seconds=self.unconfirmed,
        )


def _change(change: Change) -> ChangeView:
    return ChangeView(
        key=change.key,
        before=_plain(change.before),
        after=_plain(change.after),
        impact=change.cost.impact.words,
        why=change.cost.why,
    )


def _plain(value: object) -> str:
    """Return a value as the file has it, more or less; empty for nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return ", ".join(f"{key} = {_plain(each)}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _wanted(own: Path, path: str | None) -> Wanted:
    """Read and check a file, the daemon's own one unless a path is given; ConfigError if it cannot be used."""
    same = path is None or is_same(own, path)
    sources = read(own if same else Path(path or ""))
    return Wanted(sources, validated(sources), digest(sources.files) if same else _digest_of(own))


def _kept(entry: Entry, own: Path) -> Wanted:
    """Return what is kept in the journal; Failure if this version cannot use it."""
    try:
        sources = Sources(entry.sources())
        return Wanted(sources, validated(sources), _digest_of(own))
    except ConfigError as error:
        raise Failure(422, f"configuration {entry.number} is none of this version:\n{error}") from error


def _digest_of(path: Path) -> str:
    """Return what tells the daemon's own file from another; empty if it cannot be read."""
    try:
        return digest(read(path).files)
    except ConfigError:
        return ""


def _bindable(before: Config, after: Config) -> None:
    """Make sure that nodes will be able to dial in where they could not before; Failure if not."""
    was, now = before.router, after.router
    for address in now.listen:
        if address in was.listen and was.port == now.port:
            continue
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        # What listens now may have the port: an address by the wildcard of its family, and the other way round.
        own = [each for each in was.listen if (":" in each) == (":" in address)]
        port = 0 if was.port == now.port and {"0.0.0.0", "::"} & {address, *own} and own else now.port
        try:
            with socket.socket(family) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            where = f"{address} port {now.port}"
            raise Failure(409, f"router.listen: nodes cannot dial in at {where}: {error.strerror}") from error
