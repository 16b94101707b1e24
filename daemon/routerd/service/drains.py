"""The operator's drains, kept in a file so that they outlive routerd."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import structlog

from routerd.core.route import format_address, parse_address
from routerd.service.storing import set_aside, write

log = structlog.get_logger()


class Drains:
    """The addresses of the drained peers. Without a path, or where it cannot be written, they are kept in memory.

    `unstored` says why the file is not what it should be; empty if it is, or if there shall be none.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._path = Path(path) if path else None
        self._writing = asyncio.Lock()
        self.unstored = ""
        self.unread = ""
        """Why the drains of an earlier life are lost; empty again once the operator has said anew what is drained."""
        self.peers: set[str] = self._load()

    async def move(self, path: str) -> None:
        """Keep the drains in another file from now on."""
        self.path = path
        self._path = Path(path) if path else None
        self.unstored = ""
        await self.store()

    def mark(self, peer: str, *, on: bool) -> bool:
        """Note that a peer is drained, or no longer; return whether that is new. `store` keeps it."""
        if (peer in self.peers) == on:
            return False
        (self.peers.add if on else self.peers.discard)(peer)
        return True

    async def store(self) -> None:
        """Write the file, so that it is there after a loss of power too. The disk may take its time: in a thread."""
        if self._path is None:
            return
        async with self._writing:
            try:
                await asyncio.to_thread(write, self._path, json.dumps(sorted(self.peers)) + "\n")
            except OSError as error:
                reason = f"{self._path} cannot be written: {error.strerror}"
                if reason != self.unstored:
                    log.warning("drains are not kept over a restart", reason=reason)
                self.unstored = reason
            else:
                self.unstored = self.unread = ""

    def _load(self) -> set[str]:
        if self._path is None:
            return set()
        try:
            found = json.loads(self._path.read_bytes())
            if not isinstance(found, list) or not all(isinstance(peer, str) for peer in found):
                raise ValueError("not a list of addresses")
            return {format_address(parse_address(peer)) for peer in found}
        except FileNotFoundError:
            return set()
        except OSError as error:
            self.unread = f"{self._path} cannot be read: {error.strerror}"
        except (ValueError, RecursionError) as error:
            self.unread = f"{self._path} is damaged ({error}); {set_aside(self._path)}"
        log.error("drains are lost", reason=self.unread)
        return set()
