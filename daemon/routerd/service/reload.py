"""The configuration while it runs: taken over whole or not at all, confirmed, or taken back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from routerd.api.endpoints import Failure
from routerd.api.models import HistoryView, ReloadView
from routerd.api.views import reload as views
from routerd.config.diff import Change, changes
from routerd.config.impact import Impact
from routerd.config.model import Config
from routerd.config.pairing import unusable_files
from routerd.config.source import ConfigError, Sources
from routerd.detached import detached
from routerd.service.exposing import try_out
from routerd.service.foreseeing import Foreseer
from routerd.service.history import history
from routerd.service.journal import Entry, Journal
from routerd.service.listening import bindable
from routerd.service.trial import Trial
from routerd.service.unusable import unusable
from routerd.service.wanted import Wanted, asked_for, digest_of, kept

FORESEEING = 3.0
"""Seconds that a change waits for its forecast, which is no more than information: a rollback may be urgent."""
LOOKING = 7.0
"""Seconds that the forecast of a dry run may take: beyond the time of a request nobody would read it."""

log = structlog.get_logger()


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
        self.refused = ""
        """That the file was refused when it was to be taken over last; empty if it was not."""
        self.results: Counter[str] = Counter()
        """How many reloads and rollbacks were `taken`, and how many `refused`."""
        self._path = path
        self._journal = journal
        self._foreseer = foreseer
        self._apply = apply
        self._trial: Trial | None = None
        """The change that waits to be confirmed."""
        self._expiry: asyncio.Task[None] | None = None
        self._busy = asyncio.Lock()
        self._looking = asyncio.Lock()
        """Held by a dry run. Who asked for it may have gone: were there more, they would pile up."""

    @property
    def unconfirmed(self) -> float | None:
        """Seconds until the running configuration is taken back; None if it is to stay."""
        return None if self._trial is None else self._trial.left

    @property
    def lost(self) -> str:
        """Why the history of an earlier life could not be read; empty if it was, or once there is a new one."""
        return self._journal.unread

    @property
    def unstored(self) -> str:
        """Why a restart would not know what is in force; empty if it would."""
        return self._journal.unstored

    async def store(self) -> None:
        """Try again to have it known."""
        await self._journal.store()

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
        with self._counted(by):
            return await self._take(path, confirm, by)

    @contextlib.contextmanager
    def _counted(self, by: str) -> Iterator[None]:
        result = "refused"
        try:
            yield
            result = "taken"
        except Failure as failure:
            log.error("the configuration stays as it is", by=by, reason=str(failure))
            raise
        finally:
            self.results[result] += 1

    async def _take(self, path: str | None, confirm: int, by: str) -> ReloadView:
        async with self._busy:
            self._none_waits()
            try:
                wanted = await self._read(path)
                found = changes(self.config, wanted.config)
                view = self._view(wanted.config, found, dry=False, files=wanted.sources)
                view = await self._foreseen(view, wanted.config, found, FORESEEING)
                await self._commit(wanted, found, by, confirm=confirm)
            except Failure:
                if path is None:
                    self.refused = f"the last reload was refused: {self._path} is not what runs"
                raise
            return view | {"confirm_seconds": self.unconfirmed}

    async def confirm(self, by: str) -> ReloadView:
        """Have the change that waits for it stay. Failure if there is none."""
        async with self._busy:
            if self._trial is None:
                raise Failure(409, "nothing waits to be confirmed")
            await self._stored(self._journal.confirm)
            log.info("configuration is confirmed", by=by)
            self._settled()
            return self._view(self.config, [], dry=False)

    async def rollback(self, number: int, by: str) -> ReloadView:
        """Go back to what ran before the last change, or, if `number` is not 0, to that entry of the history."""
        with self._counted(by):
            return await self._go_back(number, by)

    async def _go_back(self, number: int, by: str) -> ReloadView:
        async with self._busy:
            if self._trial is not None and not number:
                return await self._take_back(self._trial, by)
            entry = self._entry(number)
            self._none_waits()
            try:
                wanted = await detached(kept, entry, self._path)
            except ConfigError as error:
                raise Failure(422, f"configuration {entry.number} is none of this version:\n{error}") from error
            found = changes(self.config, wanted.config)
            view = self._view(wanted.config, found, dry=False)
            view = await self._foreseen(view, wanted.config, found, FORESEEING)
            await self._commit(wanted, found, f"{by}, back to {entry.number}", confirm=0)
            return view

    async def history(self) -> list[HistoryView]:
        """Return what ran, the newest first, each with its difference to the one before."""
        return await asyncio.to_thread(history, list(self._journal.entries))

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
            return await detached(asked_for, self._path, path)
        except ConfigError as error:
            raise unusable(self._path, path, error) from error

    def _none_waits(self) -> None:
        if self._trial is not None:
            raise Failure(409, "a change waits to be confirmed: routerd confirm, or routerd rollback, first")

    async def _commit(self, taken: Wanted, found: list[Change], by: str, *, confirm: int) -> None:
        """Put a configuration in force and note it, or raise Failure. Nothing is noted if nothing is new."""
        sources, wanted, own = taken
        if refused := [each for each in found if each.cost.impact is Impact.RESTART]:
            raise Failure(409, "\n".join(f"{each.key}: takes a restart: {each.cost.why}" for each in refused))
        try:
            await asyncio.to_thread(bindable, self.config.router, wanted.router)
            await detached(try_out, self.config.metrics, wanted.metrics)
        except (OSError, ValueError) as error:
            raise Failure(409, str(error)) from error
        if wanted.pair != self.config.pair:
            for (section, key), what in await detached(list, unusable_files(wanted)):
                raise Failure(409, f"{section}.{key}: {what}")
        if not found and own == self._journal.own and not self.differs:
            self.refused = ""
            return
        await self._stored(lambda: self._journal.add(sources.files, own, time.time(), by, confirmed=not confirm))
        self._journal.unread = self.refused = ""
        before, self.config = self.config, wanted
        self.differs = "" if self._journal.running == own else _instead(sources.files[0].name, self._path)
        log.info("configuration changes", by=by, keys=[each.key for each in found], confirm=confirm or None)
        if confirm:
            self._trial = Trial(before, confirm, self._expire)
        if found:
            self._apply(wanted)

    async def _stored(self, change: Callable[[], object]) -> None:
        try:
            await detached(change)
        except OSError as error:
            path = self._journal.path
            raise Failure(507, f"{path} cannot be written: {error.strerror}; nothing has changed") from error

    def _expire(self, trial: Trial) -> None:
        self._expiry = asyncio.get_running_loop().create_task(self._unconfirmed(trial))

    async def _unconfirmed(self, trial: Trial) -> None:
        async with self._busy:
            # It may have been confirmed while this waited, and another change may wait now.
            if self._trial is trial:
                await self._take_back(trial, "routerd: it was not confirmed in time")

    async def _take_back(self, trial: Trial, by: str) -> ReloadView:
        """End what waits to be confirmed. Even a disk that is full does not keep it in force."""
        before = trial.before
        view = self._view(before, changes(self.config, before), dry=False)
        try:
            await detached(self._journal.drop)
        except OSError as error:
            log.error("the journal cannot be written", path=str(self._journal.path), reason=error.strerror)
        log.warning("configuration is taken back", by=by, keys=[each["key"] for each in view["changes"]])
        self._settled()
        self.config = before
        self._apply(before)
        same = await detached(digest_of, self._path) == self._journal.running
        self.differs = "" if same else f"what {self._path} says was taken back"
        return view | {"confirm_seconds": None}

    def _settled(self) -> None:
        if self._trial is not None:
            self._trial.end()
            self._trial = None

    def _entry(self, number: int) -> Entry:
        entries = self._journal.confirmed
        found = self._journal.find(number) if number else entries[-2] if len(entries) > 1 else None
        if found is None:
            kept = f"{entries[0].number} to {entries[-1].number}" if entries else "none"
            raise Failure(404, f"the history has no such configuration (kept: {kept}): routerd config history")
        return found

    def _view(self, after: Config, found: list[Change], *, dry: bool, files: Sources | None = None) -> ReloadView:
        rib, left = self._foreseer.router.rib, self.unconfirmed
        names = () if files is None else tuple(each.name for each in files.files)
        return views.reload(rib, self.config, after, found, dry=dry, files=names, confirm_seconds=left)


def _instead(name: str, own: Path) -> str:
    """Return what runs where that is not what the daemon's own file says."""
    return f"an earlier {own} is in force" if name == str(own) else f"{name}, as it was taken, is in force, not {own}"
