"""What a configuration would mean for what is there now: for this host, and for the sessions that stand."""

from __future__ import annotations

import asyncio
from pathlib import Path

from routerd.api.endpoints import Failure
from routerd.api.models import CheckView
from routerd.config.doubts import missing, unwise
from routerd.config.live import Session, refused, unreachable
from routerd.config.load import validated
from routerd.config.model import Config
from routerd.config.source import ConfigError, read
from routerd.core.route import format_address, format_prefix
from routerd.core.router import Router
from routerd.detached import detached
from routerd.service.unusable import unusable


class Live:
    """Checks files against a router; `own` is the daemon's file."""

    def __init__(self, own: Path, router: Router) -> None:
        self._own = own
        self._router = router
        self._turn = asyncio.Lock()

    async def check(self, path: str | None) -> CheckView:
        """Return the doubts about a file, a line each. Failure if it cannot be used, or while another one is checked:
        many at once would share the processor with routing, or wait for the same disk, for whom nobody knows."""
        if self._turn.locked():
            raise Failure(503, "another file is being checked; ask again when that has ended")
        async with self._turn:
            table = self._router.rib.nexthops
            own, networks = set(map(format_address, table.addresses)), list(map(format_prefix, table.networks))
            try:
                # In a thread, because to check thousands of peers takes seconds.
                warnings = await detached(
                    _doubts,
                    self._own if path is None else Path(path),
                    self._router.config,
                    self._sessions(),
                    own,
                    networks,
                )
            except ConfigError as error:
                raise unusable(self._own, path, error) from error
            return CheckView(warnings=warnings)

    def _sessions(self) -> list[Session]:
        peers = self._router.rib.peers.values()
        return [
            Session(
                peer.name,
                peer.address,
                up.received.asn,
                up.local,
                tuple(family.label for family in up.received.families & up.sent.families),
            )
            for peer in peers
            if (up := peer.session) is not None
        ]


def _doubts(path: Path, running: Config, sessions: list[Session], own: set[str], networks: list[str]) -> list[str]:
    sources = read(path)
    config = validated(sources)
    found = [*unwise(config), *missing(config), *unreachable(config, own, networks)]
    found += refused(running, config, sessions)
    return [sources.line(where, what) for where, what in found]
