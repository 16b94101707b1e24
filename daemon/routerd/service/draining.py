"""Drains begun and ended for the operator, and how far each has come: asked of the core and of the kernel."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

import structlog

from routerd.api.models import DrainView
from routerd.api.views import peers
from routerd.core.message import Drain
from routerd.core.rib.peer import Peer
from routerd.kernel import lookup
from routerd.service.drains import Drains
from routerd.service.engine import Engine

log = structlog.get_logger()


class Draining:
    """Has peers drained; `drains` keeps which ones over a restart."""

    def __init__(self, engine: Engine, drains: Drains) -> None:
        self._engine = engine
        self._router = engine.router
        self._drains = drains
        self._counting = asyncio.Lock()

    async def drain(self, peer: str) -> DrainView | None:
        """Return the answer to `GET /v1/peers/{peer}/drain`; None if there is no such peer."""
        found = self.find(peer)
        return None if found is None else await self._drain_view(found, changed=False)

    async def set_drain(self, peer: str, *, on: bool, by: str) -> DrainView | None:
        """Start or end the drain of a peer, as `by` asked for; None if there is no such peer."""
        found = self.find(peer)
        if found is None:
            return None
        changed = self._drains.mark(found.address, on=on)
        if changed:
            self._engine.take(Drain(found.address, on))
            self._engine.wake.set()  # from now on the core looks whether flows are left
        log.info("drain" if on else "undrain", peer=found.name, by=by, changed=changed)
        await self._drains.store()
        return await self._drain_view(found, changed=changed)

    def find(self, peer: str) -> Peer | None:
        """Return a peer by its name or address; None if there is no such peer."""
        return next((p for p in self._router.rib.peers.values() if peer in (p.name, p.address)), None)

    async def _drain_view(self, peer: Peer, *, changed: bool) -> DrainView:
        """Count the buckets that lead to a peer: a second, perhaps, for a node of thousands of groups."""
        async with self._counting:
            drain = peers.drain_of(self._router, peer)
            shared, sole = peers.drained_groups(self._router, peer)
            buckets = await asyncio.to_thread(_count_buckets, shared)
        return DrainView(
            name=peer.name,
            drain=drain,
            buckets=buckets,
            groups=len(shared),
            sole=sole,
            empty=bool(drain) and not buckets and not sole,
            changed=changed,
            unstored=self._drains.unstored,
        )


def _count_buckets(shared: Iterable[tuple[int, int]]) -> int:
    """Count the buckets of groups that lead to nexthops; a group that has gone meanwhile has none."""
    total = 0
    for group, nexthop in shared:
        with contextlib.suppress(OSError):
            total += len(lookup.buckets(group, nexthop))
    return total
