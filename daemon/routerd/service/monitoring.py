"""Who else sees the routes: what the configuration wants of that, switched on and off while routerd runs.

What is not wanted is not even imported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterator
from functools import partial
from typing import NamedTuple, Protocol

from routerd.api.models import ProblemView
from routerd.config.model import Config
from routerd.config.monitoring import BmpCollector, LookingGlassSection, MrtSection
from routerd.service.engine import Engine
from routerd.telemetry.metrics.figures import BrokerFigures, CollectorFigures, DumpFigures, Figures

Keep = Callable[[str, Callable[[], Awaitable[None]]], Awaitable[None]]


class Part(Protocol):
    """One of them. It runs until it is cancelled; `problems` are those of now, `figures` what it has counted."""

    async def run(self) -> None: ...
    @property
    def problems(self) -> Iterator[ProblemView]: ...
    @property
    def figures(self) -> Iterator[CollectorFigures | DumpFigures]: ...


class _Running(NamedTuple):
    part: Part
    task: asyncio.Task[None]


class Monitoring:
    """Runs the parts that a configuration wants; `keep` runs one again that has failed, under its name.

    A part is known by all that it depends on: what the configuration says otherwise begins anew, the others go on.
    """

    def __init__(self, config: Config, engine: Engine, keep: Keep) -> None:
        self._config = config
        self._engine = engine
        self._keep = keep
        self._running: dict[Hashable, _Running] = {}
        self._changed = asyncio.Event()

    @property
    def problems(self) -> Iterator[ProblemView]:
        """The problems of all parts."""
        for each in self._running.values():
            yield from each.part.problems

    def figures(self, broker: BrokerFigures | None) -> Figures:
        """Return what all parts have counted, beside what the broker was told."""
        found = [each for running in self._running.values() for each in running.part.figures]
        return Figures(
            broker,
            tuple(each for each in found if isinstance(each, CollectorFigures)),
            tuple(each for each in found if isinstance(each, DumpFigures)),
        )

    def configure(self, config: Config) -> None:
        """Go on with another configuration."""
        self._config = config
        self._changed.set()

    async def run(self) -> None:
        """Run until cancelled."""
        try:
            while True:
                self._changed.clear()
                await self._begin(dict(self._wanted()))
                await self._changed.wait()
        finally:
            await self._begin({})

    async def _begin(self, wanted: dict[Hashable, tuple[str, Callable[[], Part]]]) -> None:
        """End what is not wanted any more, and begin what is."""
        ending = [self._running.pop(key).task for key in list(self._running) if key not in wanted]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending)
        for key, (name, make) in wanted.items():
            if key not in self._running:
                part = make()
                self._running[key] = _Running(part, asyncio.ensure_future(self._go_on(name, part)))

    async def _go_on(self, name: str, part: Part) -> None:
        await self._keep(name, part.run)

    def _wanted(self) -> Iterator[tuple[Hashable, tuple[str, Callable[[], Part]]]]:
        """Yield what the configuration wants: what it depends on, its name, and what makes it."""
        mrt = self._config.mrt
        if mrt.directory:
            yield mrt, ("dumps", partial(self._dumps, mrt))
        glass = self._config.looking_glass
        if glass.listen:
            yield glass, ("looking glass", partial(self._glass, glass))
        router = self._config.router
        for each in self._config.bmp:
            make = partial(self._collector, each)
            yield (each, router.asn, router.router_id), (f"BMP collector {each.name}", make)

    def _glass(self, section: LookingGlassSection) -> Part:
        from routerd.service.glass import LookingGlass

        return LookingGlass(section, self._engine.router)

    def _collector(self, section: BmpCollector) -> Part:
        from routerd.service.bmp.collector import Collector

        return Collector(section, self._engine.router, self._engine.observers, self._engine.translation)

    def _dumps(self, section: MrtSection) -> Part:
        from routerd.service.dumps import Dumps

        return Dumps(section, self._engine.router, self._engine.observers)
