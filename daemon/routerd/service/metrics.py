"""The page that Prometheus reads: the core's state, what was counted, and what surrounds both."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

import structlog

from routerd.api.models import StatusView
from routerd.api.slices import Slices, in_turns
from routerd.config.fingerprint import fingerprint
from routerd.config.model import Config
from routerd.core.histogram import Histogram
from routerd.core.message import Gateway
from routerd.kernel.drops import Drops
from routerd.kernel.packets import packets
from routerd.service.engine import Engine
from routerd.service.epoch import Epoch
from routerd.service.reload import Reload
from routerd.service.settings import Settings
from routerd.service.versions import versions
from routerd.service.watchers import Failure
from routerd.session.speaker import Speaker
from routerd.telemetry.log import bus, sink
from routerd.telemetry.metrics.figures import Figures, PairFigures
from routerd.telemetry.metrics.packets import PacketCounts
from routerd.telemetry.metrics.surroundings import Process, Surroundings

log = structlog.get_logger()

LOOK = 30.0
"""Seconds between two looks for problems, as long as somebody scrapes."""
_PAGE_SIZE, _TICKS = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
_RESIDENT, _USER, _SYSTEM = 21, 11, 12
"""Fields of /proc/PID/stat behind the name of the program: rss, utime, stime (proc(5))."""


class Metrics:
    """Makes the page, one at a time. The library that writes it is loaded with the first."""

    def __init__(
        self,
        engine: Engine,
        speaker: Speaker,
        settings: Settings,
        drops: Drops,
        *,
        config: Config,
        reload: Reload,
        stretches: Histogram,
        failures: Mapping[str, Failure],
    ) -> None:
        self._engine = engine
        self._speaker = speaker
        self._settings = settings
        self._drops = drops
        self._reload = reload
        self._stretches = stretches
        self._failures = failures
        self._packets = PacketCounts()
        self._epoch = Epoch()
        self._started = time.monotonic()
        self._took = 0.0
        self.status: Callable[[], Slices[StatusView]] | None = None
        """What finds out what is wrong."""
        self.others: Callable[[], Figures] = Figures
        """What has the figures of the broker, of collectors and dumps."""
        self.pair: Callable[[], Slices[PairFigures]] | None = None
        """What has those of the pair, if there is one."""
        self._problems: Counter[str] | None = None
        """None while it is not known."""
        self._look_at = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Another configuration is in force."""
        self._config = config
        self._hash = ""  # worked out when somebody asks: it takes milliseconds for thousands of peers
        self._changed = time.monotonic()

    async def page(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        async with self._turn:
            begun = time.monotonic()
            # In a thread: to load the library takes a while.
            module = await asyncio.to_thread(import_module, "routerd.telemetry.metrics.exposition")
            nexthops = self._engine.router.fib.groups.nexthops
            await asyncio.to_thread(self._read_packets, {id: gateway for gateway, id in nexthops.items()})
            while not self._hash:  # there may be another configuration by then
                config = self._config
                found = await asyncio.to_thread(fingerprint, config)
                self._hash = found if config is self._config else ""
            pair = None if self.pair is None else await in_turns(self.pair())
            made: bytes = await in_turns(
                module.exposition(
                    self._engine.router,
                    self._engine.tally,
                    self._packets,
                    self._surroundings(pair),
                    bucket_counts=self._engine.bucket_counts,
                    now=time.monotonic(),
                    compatibility=self._config.metrics.compatibility,
                )
            )
            self._took = time.monotonic() - begun
            if self.status is not None and begun >= self._look_at:
                self._look_at = begun + LOOK
                self._looking = asyncio.get_running_loop().create_task(self._look(self.status))
            return made

    async def _look(self, status: Callable[[], Slices[StatusView]]) -> None:
        """Find out what is wrong, for the next scrapes: it takes longer than one may."""
        try:
            found = await in_turns(status())
        except Exception:
            log.exception("nobody knows what is wrong", remedy="report it; the metric is left out")
            self._problems = None
        else:
            self._problems = Counter(kinds(found))

    def _read_packets(self, gateways: Mapping[int, Gateway]) -> None:
        """Read the kernel's group statistics; if that fails they are what they were. Blocking, for a thread."""
        with contextlib.suppress(OSError):
            changes = self._engine.changes
            self._packets.take(packets(self._config.fib.ids), gateways, lambda group: changes.of(group) is None)

    def _surroundings(self, pair: PairFigures | None) -> Surroundings:
        state = self._speaker.state
        router = self._config.router
        found = versions()
        return Surroundings(
            build={
                "version": found["routerd"],
                "exabgp": found["exabgp"],
                "python": found["python"],
                "kernel": found["kernel"],
                "router_id": router.router_id,
                "asn": str(router.asn),
            },
            started=self._epoch.clock(self._started),
            processes=tuple(_processes({"daemon": os.getpid(), "speaker": state.pid})),
            speaker_up=state.running and bool(state.listening),
            speaker_restarts=state.restarts,
            session_refusals=self._speaker.refused,
            unwritten=self._engine.unwritten,
            stretches=self._stretches,
            config_hash=self._hash,
            config_changed=self._epoch.clock(self._changed),
            config_unconfirmed=self._reload.unconfirmed is not None,
            config_differs=bool(self._reload.differs or self._reload.refused),
            reloads=self._reload.results,
            sysctls_wrong=sum(not each.ok for each in self._settings.read()),
            dropped_segments={name: each.count for name, each in self._drops.seen.items()},
            watcher_failures={name: each.count for name, each in self._failures.items()},
            lost_lines=sink.lost[0],
            events=bus.last,
            last_scrape=self._took,
            problems=self._problems,
            others=self.others()._replace(pair=pair),
        )


def kinds(found: StatusView) -> Iterator[str]:
    """Yield of what kind each problem is, of which there are few, by where it is.

    `peer` is that of a peer that is away or silent, which metrics of its own tell; what is wrong although it is there
    and has a session is of the kind `session`.
    """
    away = {f"peer {each['name']}" for each in found["peers"] if each["silent"] or each["state"] != "established"}
    for where in (problem["where"] for problem in found["problems"]):
        first = "neighbours" if where.endswith(" neighbours") else where.partition(" ")[0]
        yield "session" if first == "peer" and where not in away else first


def _processes(pids: Mapping[str, int | None]) -> Iterator[Process]:
    """Yield those of the processes that there are."""
    for name, pid in pids.items():
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            cpu = (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS
            yield Process(name, int(fields[_RESIDENT]) * _PAGE_SIZE, cpu)
