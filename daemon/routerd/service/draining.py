"""Drains begun and ended for the operator, and how far each has come: asked of the core and of the kernel."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable

import structlog

from routerd.api.models import DrainView
from routerd.api.views import peers
from routerd.core.message import Drain
from routerd.core.rib.peer import Peer
from routerd.kernel import lookup
from routerd.service.drains import Drains
from routerd.service.engine import Engine
from routerd.ticks import doze

LOOK = 5.0
"""Seconds between two looks whether drains have become empty, about; more if they take long."""
_PART = 20
"""What they take is a part of the time, of so many."""

log = structlog.get_logger()


class Draining:
    """Has peers drained; `drains` keeps which ones over a restart."""

    def __init__(self, engine: Engine, drains: Drains) -> None:
        self._engine = engine
        self._router = engine.router
        self._drains = drains
        self._counting = asyncio.Lock()
        self._told: set[str] = set()
        """The peers of which an event has told that they are empty."""

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
            self._told.discard(found.address)
            self._engine.take(Drain(found.address, on))
            self._engine.wake.set()  # from now on the core looks whether flows are left
        log.info("drain" if on else "undrain", peer=found.name, by=by, changed=changed)
        await self._drains.store()
        return await self._drain_view(found, changed=changed)

    def find(self, peer: str) -> Peer | None:
        """Return a peer by its name or address; None if there is no such peer."""
        return next((p for p in self._router.rib.peers.values() if peer in (p.name, p.address)), None)

    async def watch(self) -> None:
        """Tell once of each drain that no flow is left there, until cancelled."""
        while True:
            begun = time.monotonic()
            await self.look()
            await doze(max(LOOK, _PART * (time.monotonic() - begun)))

    async def look(self) -> None:
        """Tell of the drains that have become empty: of peers that are there, once it is known what leads there."""
        drained = self._router.drains.peers
        self._told &= drained
        if not self._router.synchronised or self._told == drained:
            return
        awaited = self._router.fib.awaiting.gateways
        for address in sorted(drained - self._told):
            peer = self._router.rib.peers.get(address)
            if peer is None or peer.session is None or not awaited.isdisjoint(self._router.rib.gateways_of(peer)):
                continue
            shared, sole = peers.drained_groups(self._router, peer)
            if not sole and not await asyncio.to_thread(_any_bucket, shared) and address in drained:
                self._told.add(address)
                log.info("drained", peer=peer.name, groups=len(shared))

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


def _any_bucket(shared: Iterable[tuple[int, int]]) -> bool:
    """Tell whether a bucket of one of these groups leads to its nexthop: as a rule one of the first has some."""
    return any(_count_buckets([each]) for each in shared)


def _count_buckets(shared: Iterable[tuple[int, int]]) -> int:
    """Count the buckets of groups that lead to nexthops; a group that has gone meanwhile has none."""
    total = 0
    for group, nexthop in shared:
        with contextlib.suppress(OSError):
            total += len(lookup.buckets(group, nexthop))
    return total
