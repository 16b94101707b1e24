"""Looking closer, for people: a peer, a flow, the kernel against what is wanted, and who carries how many packets.

The kernel is read in threads, one question of a kind at a time; the core is looked at in slices.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Collection
from datetime import datetime

from routerd.api.endpoints import Failure
from routerd.api.inspection import (
    ChangedMemberView,
    DifferencesView,
    FlowAnswerView,
    FlowChangeView,
    MessagesView,
    PeerDetailView,
    TrafficView,
)
from routerd.api.models import PeerView
from routerd.api.slices import Slices, in_turns
from routerd.api.views import differences as differing
from routerd.api.views import flow as flows
from routerd.api.views import peer as peers
from routerd.api.views import traffic
from routerd.core.fib import differences as fib
from routerd.core.message import KernelDump
from routerd.core.message.flow import Flow, Reading
from routerd.core.route import format_address
from routerd.kernel import flow as kernel
from routerd.kernel import packets
from routerd.kernel.dump import dump
from routerd.service.answers import refusal
from routerd.service.changes import Changes
from routerd.service.engine import Engine
from routerd.session.counts import Counts
from routerd.session.speaker import Speaker
from routerd.telemetry.bus import Bus

CONFIRMATION = 0.1
"""Seconds after which what differs is looked at again: routerd itself mends what it notices in a fiftieth."""
FRESH = 0.1
"""Seconds for which a reading of the counters serves others, too."""
EARLIER, LATER = 10.0, 2.0
"""Seconds by which the event behind a change may be apart from it: a burst is written at its end."""
_CAUSES = {
    "joined": frozenset(("peer up", "undrain", "neighbour answers again", "gateway back")),
    "left": frozenset(("peer down", "drain", "neighbour is silent", "gateway out")),
    "weight": frozenset(("drain", "undrain", "peer up")),
}
"""Events by what they do to a member."""
_READ = 4096
_HEAD = frozenset(("boot", "sequence", "level"))


class Inspection:
    """Answers from the core and the kernel; `rows` makes the table of the peers, `partner` returns what tells of
    the other router of the pair, if there is one."""

    def __init__(
        self,
        engine: Engine,
        speaker: Speaker,
        bus: Bus,
        rows: Callable[[], Slices[list[PeerView]]],
        partner: Callable[[], flows.Partner | None] = lambda: None,
    ) -> None:
        self._router = engine.router
        self._engine = engine
        self._speaker = speaker
        self._bus = bus
        self._rows = rows
        self._partner = partner
        self._comparing = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._last: Reading | None = None

    # ------------------------------------------------------------------------------------------ a peer

    def peer(self, name: str, limit: int) -> Slices[PeerDetailView | None]:
        """Return all that is known of a peer (name or address); None if there is none."""
        row = next((row for row in (yield from self._rows()) if name in (row["name"], row["address"])), None)
        found = None if row is None else self._router.rib.peers.get(row["address"])
        if row is None or found is None:
            return None
        session, now = found.session, time.monotonic()
        counts = None if session is None else self._speaker.translation.counts.get(session.generation)
        refusals = [refusal(each, now) for each in self._speaker.state.refusals if each.address == found.address]
        messages = None if counts is None else _messages(counts)
        view = yield from peers.detail(found, row, now, limit, refusals=refusals, messages=messages)
        return view

    # ------------------------------------------------------------------------------------------ a flow

    async def flow(self, flow: Flow) -> FlowAnswerView:
        """Ask the kernel where a flow goes; Failure if nobody can say where it comes in, or netlink fails."""
        _, group = flows.expected(self._router, flow.destination)
        async with self._asking:
            try:
                way = await asyncio.to_thread(kernel.way, flow, group)
            except kernel.UnknownInterfaceError as error:
                raise Failure(422, f"{error}; name where the flow comes in: --interface") from error
            except OSError as error:
                raise Failure(503, f"the kernel cannot be asked: {error.strerror}; try again") from error
        now = time.monotonic()
        changed = self._changed(self._engine.changes, way.nexthop, now) if way.nexthop else None
        return flows.answer(self._router, flow, way, now, changed, partner=self._partner())

    def _changed(self, changes: Changes, group: int, now: float) -> FlowChangeView | None:
        change = changes.of(group)
        if change is None:
            return None
        names = {id_: gateway for gateway, id_ in self._router.fib.groups.nexthops.items()}
        moved = [
            (gateway, what)
            for id_, what in change.moved()
            if (gateway := names.get(id_) or changes.gateway(id_)) is not None
        ]
        members = [
            ChangedMemberView(
                gateway=format_address(gateway.address), peers=flows.names(self._router, gateway), what=what
            )
            for gateway, what in moved
        ]
        about = flows.concerned(self._router, [gateway for gateway, _ in moved])
        causes = frozenset[str]().union(*(_CAUSES[what] for _, what in moved))
        cause = self._cause(about, causes, time.time() - (now - change.at))
        return FlowChangeView(seconds=now - change.at, members=members, cause=cause)

    def _cause(self, about: set[str], causes: Collection[str], when: float) -> dict[str, str]:
        """Return the last event of these names about one of these, before a change or with it. Nothing if none is
        kept: what a node announces and withdraws has no event."""
        told, _ = self._bus.read(max(0, self._bus.last - _READ), _READ)
        for each in reversed(told):
            if each.event not in causes:
                continue
            event = json.loads(each.text)
            apart = when - datetime.fromisoformat(event["time"]).timestamp()
            if apart > EARLIER:
                break
            texts = (value for value in event.values() if isinstance(value, str))
            if apart > -LATER and not about.isdisjoint(part for text in texts for part in text.split(", ")):
                return {name: str(value) for name, value in event.items() if name not in _HEAD}
        return {}

    # ------------------------------------------------------------------------------------------ the kernel

    async def differences(self, limit: int) -> Slices[DifferencesView]:
        """Compare the kernel with what is wanted; Failure if it cannot be read, or is being read."""
        if self._comparing.locked():
            raise Failure(503, "the kernel is being compared for somebody else; try again")
        async with self._comparing:
            try:
                wanted, found, first = await self._compare()
                if first.total:
                    await asyncio.sleep(CONFIRMATION)
                    wanted, found, second = await self._compare()
                    first = await asyncio.to_thread(fib.both, first, second)
            except OSError as error:
                raise Failure(503, f"the kernel cannot be read: {error.strerror}; try again") from error
            refusals = self._router.refusals
            unwritten = self._engine.unwritten
            return differing.differences(wanted, found, first, limit, refusals=refusals, unwritten=unwritten)

    async def _compare(self) -> tuple[fib.Expected, KernelDump, fib.Differences]:
        wanted = await in_turns(fib.expected(self._router.fib))
        found = await asyncio.to_thread(dump, self._router.config.fib)
        return wanted, found, await asyncio.to_thread(fib.compare, wanted, found)

    # ------------------------------------------------------------------------------------------ packets

    async def traffic(self, seconds: float, limit: int) -> Slices[TrafficView]:
        """Count packets for so long; Failure if the counters cannot be read."""
        try:
            before = await self._read()
            await asyncio.sleep(seconds)
            after = await self._read()
        except OSError as error:
            raise Failure(503, f"the kernel's counters cannot be read: {error.strerror}; try again") from error
        carried = await asyncio.to_thread(traffic.carried, before, after)
        return traffic.traffic(self._router, carried, after, after.at - before.at or 1.0, limit)

    async def _read(self) -> Reading:
        """Read the counters, unless somebody has just done so."""
        async with self._reading:
            if self._last is None or time.monotonic() - self._last.at > FRESH:
                self._last = await asyncio.to_thread(packets.read)
            return self._last


def _messages(counts: Counts) -> MessagesView:
    return MessagesView(
        updates_received=counts.updates_received,
        updates_sent=counts.updates_sent,
        refreshes_received=counts.refreshes_received,
        refreshes_sent=counts.refreshes_sent,
        octets_received=counts.octets_received,
        octets_sent=counts.octets_sent,
    )
