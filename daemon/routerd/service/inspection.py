"""Looking closer, for people: a peer, a flow, the kernel against what is wanted, and who carries how many packets.

The kernel is read in threads, one question of a kind at a time; the core is looked at in slices.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
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
from routerd.api.slices import Slices, in_slices
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
CLOSE = 2.0
"""Seconds that the event behind a change may be apart from it: a burst is written at its end."""
_READ = 4096
_HEAD = frozenset(("boot", "sequence", "level"))


class Inspection:
    """Answers from the core and the kernel; `rows` makes the table of the peers."""

    def __init__(
        self, engine: Engine, speaker: Speaker, bus: Bus, rows: Callable[[], Slices[list[PeerView]]]
    ) -> None:
        self._router = engine.router
        self._engine = engine
        self._speaker = speaker
        self._bus = bus
        self._rows = rows
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
        return flows.answer(self._router, flow, way, now, changed)

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
        return FlowChangeView(
            seconds=now - change.at, members=members, cause=self._cause(about, time.time() - (now - change.at))
        )

    def _cause(self, about: set[str], when: float) -> dict[str, str]:
        """Return the last event about one of these before a change, or with it; nothing if none is kept."""
        found = dict[str, str]()
        told, _ = self._bus.read(max(0, self._bus.last - _READ), _READ)
        wanted = [json.dumps(name).encode() for name in about]
        for each in reversed(told):
            if not any(name in each.text for name in wanted):
                continue
            event = json.loads(each.text)
            apart = when - datetime.fromisoformat(event["time"]).timestamp()
            if -CLOSE < apart < CLOSE * 5:
                found = {name: str(value) for name, value in event.items() if name not in _HEAD}
                break
        return found

    # ------------------------------------------------------------------------------------------ the kernel

    async def differences(self, limit: int) -> DifferencesView:
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
            view = differing.differences(wanted, found, first, limit, refusals=refusals, unwritten=unwritten)
            return await in_slices(view)

    async def _compare(self) -> tuple[fib.Expected, KernelDump, fib.Differences]:
        wanted = await in_slices(fib.expected(self._router.fib))
        found = await asyncio.to_thread(dump, self._router.config.fib)
        return wanted, found, await asyncio.to_thread(fib.compare, wanted, found)

    # ------------------------------------------------------------------------------------------ packets

    async def traffic(self, seconds: float, limit: int) -> TrafficView:
        """Count packets for so long; Failure if the counters cannot be read."""
        try:
            before = await self._read()
            await asyncio.sleep(seconds)
            after = await self._read()
        except OSError as error:
            raise Failure(503, f"the kernel's counters cannot be read: {error.strerror}; try again") from error
        carried = await asyncio.to_thread(traffic.carried, before, after)
        return await in_slices(traffic.traffic(self._router, carried, after, after.at - before.at or 1.0, limit))

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
