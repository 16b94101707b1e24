"""What the operator has said about peers, kept in a file so that it outlives routerd."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol

import structlog

from routerd.detached import detached
from routerd.service.storing import read, set_aside, write
from routerd.ticks import doze

STORE_INTERVAL = 5.0
"""Seconds between two attempts to keep what could not be kept."""

log = structlog.get_logger()


class Kept(ABC):
    """A file and what is in it. Without a path, or where it cannot be written, that is kept in memory.

    `what` names it in the log. `unstored` says why the file is not what it should be; empty if it is, or if there
    shall be none. `unread` says why what was kept is lost; empty again once the operator has said it anew.
    """

    def __init__(self, path: str, what: str) -> None:
        self.path = path
        self._path = Path(path) if path else None
        self._what = what
        self._writing = asyncio.Lock()
        self.unstored = ""
        self.unread = ""
        if self._path is not None:
            self._load(self._path)

    @abstractmethod
    def _said(self) -> Any:
        """Return what is to be kept, as JSON can hold it."""

    @abstractmethod
    def _take(self, said: Any) -> None:
        """Take over what was kept; ValueError, KeyError or TypeError if it is something else."""

    async def move(self, path: str) -> None:
        """Keep it in another file from now on."""
        self.path = path
        self._path = Path(path) if path else None
        self.unstored = ""
        await self.store()

    async def store(self) -> None:
        """Write the file, so that it is there after a loss of power too. The disk may take its time: in a thread."""
        if self._path is None:
            return
        async with self._writing:
            try:
                await detached(write, self._path, json.dumps(self._said()) + "\n")
            except OSError as error:
                reason = f"{self._path} cannot be written: {error.strerror}"
                if reason != self.unstored:
                    log.warning(f"{self._what} are not kept over a restart", reason=reason)
                self.unstored = reason
            else:
                self.unstored = self.unread = ""

    def _load(self, path: Path) -> None:
        try:
            self._take(json.loads(read(path)))
        except FileNotFoundError:
            return
        except OSError as error:
            self.unread = f"{path} cannot be read: {error.strerror}"
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            self.unread = f"{path} is damaged ({error}); {set_aside(path)}"
        if self.unread:
            log.error(f"{self._what} are lost", reason=self.unread)


def beside(drains: str, suffix: str) -> str:
    """Return the path of a file beside that of the drains; empty if there shall be none."""
    return str(Path(drains).with_suffix(suffix)) if drains else ""


class Storable(Protocol):
    """What is kept in a file."""

    @property
    def unstored(self) -> str:
        """Why it is not there; empty if it is."""

    async def store(self) -> None:
        """Try to write it."""


async def store_again(*kept: Storable) -> None:
    """Try again, now and then, to keep what could not be kept."""
    while True:
        await doze(STORE_INTERVAL)
        for each in kept:
            if each.unstored:
                await each.store()
