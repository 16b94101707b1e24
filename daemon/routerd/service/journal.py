"""Which configurations ran, and which one is to run: kept in a file, so that a restart does not bring back what was
never confirmed, or was taken back.

The journal is written before a configuration takes effect. It holds the texts of the files, passwords included, and
is readable for its owner alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock

from routerd.config.source import Source, source
from routerd.detached import detached
from routerd.service.storing import read, set_aside, write

KEPT = 20
"""Configurations that are kept."""
OCTETS = 4 << 20
"""Octets that all of them take at most; the last two are kept in any case."""


@dataclass(frozen=True)
class Entry:
    """A configuration that ran. `files` are the names and texts it consists of, `time` is in seconds since 1970, `by`
    is who asked for it. Until it is `confirmed` it is the one before that a restart begins with."""

    number: int
    time: float
    by: str
    files: tuple[tuple[str, str], ...]
    confirmed: bool = True

    def sources(self) -> list[Source]:
        """Return the files as they were read."""
        return [source(text, name) for name, text in self.files]


class Journal:
    """The entries, the oldest first, in the file at `path`; without one, in memory.

    `own` tells what the daemon's own file said when the last entry was made. `unread` says why the entries of an
    earlier life are lost, and `unstored` why the file lacks what is in force; each is empty if that is not so.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self.own = ""
        self.unread = ""
        self.unstored = ""
        self._turn = Lock()
        if path is not None:
            self._load(path)

    @property
    def confirmed(self) -> list[Entry]:
        """The entries without the one that waits to be confirmed, if there is one. A start begins with the last of
        them, if the daemon's own file says what it said then."""
        return [entry for entry in self.entries if entry.confirmed]

    @property
    def running(self) -> str:
        """What tells the files of the last entry from others; empty if there is none."""
        return _digest(self.entries[-1].files) if self.entries else ""

    def find(self, number: int) -> Entry | None:
        """Return an entry by its number."""
        return next((entry for entry in self.confirmed if entry.number == number), None)

    def add(
        self, files: Iterable[Source], own: str, time: float, by: str, *, confirmed: bool, done: bool = False
    ) -> None:
        """Note, and store, that a configuration is about to take effect. OSError if it cannot be stored: then nothing
        is noted, unless it is `done` already."""
        before = self.confirmed
        number = before[-1].number + 1 if before else 1
        entry = Entry(number, time, by, tuple((each.name, each.text) for each in files), confirmed)
        self._store([*before, entry], own, done=done)

    def confirm(self) -> None:
        """The last entry is to stay. OSError as in `add`."""
        self._store([*self.entries[:-1], replace(self.entries[-1], confirmed=True)], self.own)

    def drop(self) -> None:
        """The last entry was not confirmed: it never was. OSError if that cannot be stored; a start knows it all the
        same."""
        self._store(self.confirmed, self.own, done=True)

    def _store(self, entries: list[Entry], own: str, *, done: bool = False) -> None:
        entries = entries[-KEPT:]
        while len(entries) > 2 and sum(len(text) for entry in entries for _, text in entry.files) > OCTETS:
            entries = entries[1:]
        with self._turn:
            if done:
                self.entries, self.own = entries, own
            self._write(entries, own)
            self.entries, self.own = entries, own

    async def store(self) -> None:
        """Try again to write what could not be written."""

        def again() -> None:
            with self._turn, contextlib.suppress(OSError):
                self._write(self.entries, self.own)

        await detached(again)

    def _write(self, entries: list[Entry], own: str) -> None:
        if self.path is None:
            return
        said = {"own": own, "entries": [asdict(entry) for entry in entries]}
        try:
            write(self.path, json.dumps(said) + "\n", mode=0o600)
        except OSError as error:
            if entries is self.entries:  # a change that is not noted is none
                self.unstored = f"{self.path} cannot be written: {error.strerror}"
            raise
        self.unstored = ""

    def _load(self, path: Path) -> None:
        try:
            said = json.loads(read(path))
            self.entries = [
                Entry(
                    int(each["number"]),
                    float(each["time"]),
                    str(each["by"]),
                    tuple((str(name), str(text)) for name, text in each["files"]),
                    bool(each["confirmed"]),
                )
                for each in said["entries"]
            ]
            self.own = str(said["own"])
        except FileNotFoundError:
            return
        except OSError as error:
            self.unread = f"{path} cannot be read: {error.strerror}"
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            self.entries = []
            self.unread = f"{path} is damaged ({error}); {set_aside(path)}"


def digest(sources: Iterable[Source]) -> str:
    """Return what tells files from others: a hash of their names and texts."""
    return _digest(tuple((each.name, each.text) for each in sources))


def _digest(files: tuple[tuple[str, str], ...]) -> str:
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()
