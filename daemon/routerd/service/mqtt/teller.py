"""Gathers what this router has to tell, as it changes, and hands it to the link.

What changes is noted where it is told or written: by the events of the bus, and by the operations that the engine
carries out. Half a second later it is looked up in the core, so that what changes ten times is told once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import platform
import time
from collections.abc import Callable, Iterator
from typing import Any

import structlog

from routerd import __version__
from routerd.api.models import ProblemView
from routerd.api.slices import in_slices
from routerd.config.fingerprint import fingerprint
from routerd.config.model import Config
from routerd.core.message import Effect, Program
from routerd.core.route import Prefix, format_prefix
from routerd.kernel.hash_seed import hash_seed
from routerd.service.answers import Answers
from routerd.service.engine import SLICE, Engine
from routerd.service.epoch import Epoch
from routerd.service.mqtt import payloads
from routerd.service.mqtt.drains import Orders
from routerd.service.mqtt.peers import Peers
from routerd.service.mqtt.vips import Vips
from routerd.telemetry.bus import Told
from routerd.telemetry.log import bus
from routerd.telemetry.metrics.figures import BrokerFigures
from routerd.telemetry.mqtt import topics
from routerd.telemetry.mqtt.access import access
from routerd.telemetry.mqtt.link import Link
from routerd.telemetry.mqtt.topics import Own, Topic

COALESCE = 0.5
"""Seconds in which what changes again is told once."""
HEARTBEAT = 30.0
"""Seconds after which a summary is told even if nothing has changed: it tells how long a router was heard of."""
JUDGED = 10.0
"""Seconds between two searches for problems while something happens, each as dear as a `routerd status`."""
BEHIND = 30.0
"""Seconds that something may wait for the broker until that is a problem."""
OCTETS = 16 << 20
"""Octets of states beyond which no more VIPs are told."""
RIVAL = 60.0
"""Seconds for which a router of the same name is a problem: it comes again and again."""
_AT_ONCE = 4096
"""Routes that are looked at between two looks at the clock."""
_ANY = frozenset(("adopted", "drift mended", "kernel refused", "configuration changes"))
"""Events after which any VIP or peer may be another."""

log = structlog.get_logger()


class Teller:
    """One router at one broker, by one `[mqtt]`."""

    def __init__(self, config: Config, engine: Engine, answers: Answers, lasted: Callable[[], float]) -> None:
        self._config = config
        self._section = config.mqtt
        self._own = _own(config)
        self._engine = engine
        self._router = engine.router
        self._answers = answers
        self._lasted = lasted
        self._epoch = Epoch()
        self._news = asyncio.Event()
        self._vips = Vips(self._router.fib.routes, config.mqtt.vip_limit)
        self._peers = Peers(self._router.rib.peers, self._own)
        self._problems: list[ProblemView] = []
        self._said: dict[str, Any] = {}
        self._said_at = self._judged_at = self._swept_at = self._figures_at = float("-inf")
        self._judge_at = time.monotonic()
        self._behind_since: float | None = None
        self._link = Link(
            access(config.mqtt),
            self._own,
            bus,
            expiry=config.mqtt.event_expiry,
            key_file=config.mqtt.fleet_key_file,
            heed=Orders(answers, self._router).heed,
            say=lambda level, event, **fields: getattr(log, level)(event, **fields),
        )
        self._failed: Exception | None = None
        engine.heed = self._heed
        self._link.start()

    # ------------------------------------------------------------------------------------------ the configuration

    def fits(self, config: Config) -> bool:
        """Tell whether this one does what a configuration says."""
        return config.mqtt == self._section and _own(config) == self._own

    def is_renamed(self, config: Config) -> bool:
        """Tell whether the router has another name, or another broker, in a configuration."""
        return _own(config) != self._own or config.mqtt.broker not in ("", self._section.broker)

    async def configure(self, config: Config) -> None:
        """Tell the birth: this is what the router runs with."""
        self._config = config
        birth = {
            "boot": self._own.boot,
            "time": round(self._epoch.clock(self._router.started), 3),
            "version": __version__,
            "kernel": platform.release(),
            "configuration": await asyncio.to_thread(fingerprint, config),
            "router_id": config.router.router_id,
            "asn": config.router.asn,
            "hash_policy": config.fib.hash_policy,
            "hash_seed": await asyncio.to_thread(hash_seed),
            "drains": bool(self._section.fleet_key_file),
        }
        self._link.states.tell(self._own.topic(topics.BIRTH), topics.encode(birth))
        self._touch()

    async def close(self, *, clear: bool) -> None:
        """Say goodbye; nothing is told any more."""
        self._engine.heed = None
        await self._link.close(clear=clear)

    def problems(self) -> Iterator[ProblemView]:
        """What keeps the broker from hearing the router."""
        trouble, now = self._link.trouble, time.monotonic()
        if self._link.keyless:
            yield ProblemView(
                where="mqtt",
                what=f"no node can be drained by the broker: fleet_key_file {self._link.keyless}",
                remedy="put the file right: the same on all routers of the site, and readable for routerd's user",
            )
        if now - self._link.rival < RIVAL:
            yield ProblemView(
                where="mqtt",
                what=f"another router is {self._own.router} of site {self._own.site} at the broker, too",
                remedy="give each a name of its own: router in [mqtt]",
            )
        elif trouble is not None:
            yield ProblemView(
                where="mqtt",
                what=f"{trouble.what}, for {now - trouble.since:.0f} s; routing is as it was",
                remedy=f"{trouble.remedy}: [mqtt] in the configuration, or at the broker; it is tried again",
            )
        elif self._behind_since is not None and now - self._behind_since > BEHIND:
            yield ProblemView(
                where="mqtt",
                what=f"{self._link.states.waiting} states wait for the broker, for {now - self._behind_since:.0f} s",
                remedy="it is slow, or the way to it is; the newest state of everything is kept for it",
            )

    @property
    def figures(self) -> BrokerFigures:
        """How far the broker is with what it is told."""
        link = self._link
        return BrokerFigures(
            link.connected,
            link.connections,
            link.last_message,
            link.events.sent,
            link.events.lost,
            len(link.states),
            link.states.waiting,
            len(self._vips.told),
            self._vips.left_out,
            *link.requests,
        )

    # ------------------------------------------------------------------------------------------ what changes

    def _heed(self, effect: Effect) -> None:
        if not isinstance(effect, Program):
            return
        try:
            self._vips.heed(effect.operations)
        except Exception as error:  # noqa: BLE001 - the engine shall not end for it: `run` does
            self._engine.heed, self._failed = None, error
        self._news.set()

    def _touch(self) -> None:
        self._peers.touch()
        self._vips.touch()
        self._news.set()

    async def _listen(self) -> None:
        """Note which peers the events are about."""
        reader = bus.reader(bus.last)
        while True:
            found, lost = reader.take(64)
            if lost:
                self._touch()
            for told in found:
                self._note(told)
            await (asyncio.sleep(0) if found else reader.wait())

    def _note(self, told: Told) -> None:
        if told.event in _ANY:
            self._touch()
        elif b'"peer":' in told.text:
            self._peers.note(str(json.loads(told.text)["peer"]).split(", "))
            self._news.set()
        self._judge_at = min(self._judge_at, max(time.monotonic(), self._judged_at + JUDGED))

    # ------------------------------------------------------------------------------------------ what is told

    async def run(self) -> None:
        """Tell what there is, and what changes."""
        listening = asyncio.ensure_future(self._listen())
        try:
            while not listening.done():
                if self._failed is not None:
                    raise self._failed
                await self._gather()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, self._due - time.monotonic())):
                        await self._news.wait()
                await asyncio.sleep(COALESCE)
                self._news.clear()
            listening.result()
        finally:
            listening.cancel()

    @property
    def _due(self) -> float:
        """When there is something to tell even without news."""
        if not self._vips.begun:
            return 0.0  # the kernel is being read
        due = min(self._swept_at + HEARTBEAT, self._judge_at)
        every = self._section.metrics_interval
        return min(due, self._figures_at + every) if every else due

    async def _gather(self) -> None:
        now = time.monotonic()
        if now - self._swept_at >= HEARTBEAT:
            self._swept_at = now
            self._touch()
        if self._router.synchronised and (self._vips.incomplete or not self._vips.begun):
            await self._see_all()
        await self._tell_peers()
        await self._tell_vips()
        await self._tell_summary()
        if self._vips.begun:
            self._link.complete()
        if self._section.metrics_interval and now - self._figures_at >= self._section.metrics_interval:
            self._figures_at = now
            self._link.figures(topics.encode(self._figures()))
        waits = self._link.connected and self._link.states.waiting
        self._behind_since = None if not waits else self._behind_since or now

    async def _pause(self) -> None:
        if self._lasted() > SLICE:
            await asyncio.sleep(0)

    async def _see_all(self) -> None:
        """Look at all routes: once, and again only if more were left out than are remembered, and those came up."""
        self._vips.begin()
        routes = list(self._router.fib.routes)
        for start in range(0, len(routes), _AT_ONCE):
            self._vips.see([each for each in routes[start : start + _AT_ONCE] if each in self._router.fib.routes])
            await self._pause()

    async def _tell_peers(self) -> None:
        gone, changed = self._peers.collect()
        for topic in gone:
            self._link.states.clear(topic)
        epoch = self._epoch.clock(0.0)
        for topic, peer in changed:
            await self._pause()
            if peer.address in self._router.rib.peers:
                self._tell(topic, payloads.peer(self._router, peer, epoch))

    async def _tell_vips(self) -> None:
        if self._link.states.octets < OCTETS - OCTETS // 8:
            self._vips.relax()
        self._vips.collect()
        gone, self._vips.gone = self._vips.gone, {}
        changed, self._vips.changed = self._vips.changed, {}
        for prefix in gone:
            self._link.states.clear(self._vip(prefix))
        for prefix in changed:
            await self._pause()
            if prefix not in self._vips.told or (payload := payloads.vip(self._router, prefix)) is None:
                continue
            if self._link.states.octets > OCTETS and self._vip(prefix) not in self._link.states:
                self._vips.refuse(prefix)
            else:
                self._tell(self._vip(prefix), payload)

    def _vip(self, prefix: Prefix) -> Topic:
        return self._own.topic(topics.VIP, topics.level(format_prefix(prefix)))

    async def _tell_summary(self) -> None:
        now = time.monotonic()
        if now >= self._judge_at:
            self._judged_at, self._judge_at = now, now + HEARTBEAT
            self._problems = (await in_slices(self._answers.status()))["problems"]
        said = payloads.summary(self._router, self._problems, self._engine.unwritten)
        said["vips"] = {
            "told": len(self._vips.told),
            "left_out": self._vips.left_out,
            "more": self._vips.uncounted,
        }
        said["events"] = {"lost": self._link.events.lost}
        said["pair"] = payloads.pair(self._answers.pair(now))
        if said != self._said or now - self._said_at >= HEARTBEAT:
            self._said, self._said_at = said, now
            self._tell(self._own.topic(topics.SUMMARY), {"time": round(time.time(), 3), **said})

    def _tell(self, topic: Topic, payload: dict[str, Any]) -> None:
        self._link.states.tell(topic, topics.encode({"boot": self._own.boot, **payload}))

    def _figures(self) -> dict[str, Any]:
        loop = self._answers.event_loop()
        return {
            "boot": self._own.boot,
            "time": round(time.time(), 3),
            "uptime_seconds": round(time.monotonic() - self._router.started, 3),
            **{name: value for name, value in self._said.items() if isinstance(value, int)},
            "peers_up": self._said["peers"]["up"],
            "event_loop": loop,
            "events": {"sent": self._link.events.sent, "lost": self._link.events.lost},
            "connections": self._link.connections,
        }


def _own(config: Config) -> Own:
    return Own(config.mqtt.site, config.name_at_broker, bus.boot)
