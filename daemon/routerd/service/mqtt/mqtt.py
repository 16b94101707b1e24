"""`[mqtt]` while routerd runs: on and off as the configuration says. Without a broker nothing of it is loaded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from routerd.api.models import ProblemView
from routerd.config.model import Config
from routerd.service.answers import Answers
from routerd.service.engine import Engine
from routerd.telemetry.metrics.figures import BrokerFigures

if TYPE_CHECKING:
    from routerd.service.mqtt.teller import Teller


class Mqtt:
    """`lasted` returns for how many seconds the event loop has not looked around."""

    def __init__(self, config: Config, engine: Engine, answers: Answers, lasted: Callable[[], float]) -> None:
        self._config = config
        self._engine = engine
        self._answers = answers
        self._lasted = lasted
        self._changed = asyncio.Event()
        self._teller: Teller | None = None

    def configure(self, config: Config) -> None:
        """Go on with another configuration."""
        self._config = config
        self._changed.set()

    def problems(self) -> Iterator[ProblemView]:
        """What keeps the broker from hearing this router."""
        if self._teller is not None:
            yield from self._teller.problems()

    @property
    def figures(self) -> BrokerFigures | None:
        """How far the broker is with what it is told; None without one."""
        return None if self._teller is None else self._teller.figures

    async def run(self) -> None:
        """Tell the broker how the router is, whichever is configured."""
        try:
            while True:
                self._changed.clear()
                await self._follow()
                if self._teller is None:
                    await self._changed.wait()
                else:
                    await self._tell(self._teller)
        finally:
            if self._teller is not None:
                await self._teller.close(clear=False)
                self._teller = None

    async def _follow(self) -> None:
        """Have a teller that does what the configuration says, or none."""
        config, before = self._config, self._teller
        if before is not None and before.fits(config):
            await before.configure(config)
            return
        if before is not None:
            self._teller = None
            await before.close(clear=before.is_renamed(config))
        if config.mqtt.broker:
            # In a thread: the library takes tenths of a second to load, and routing goes on meanwhile.
            teller = await asyncio.to_thread(import_module, "routerd.service.mqtt.teller")
            made: Teller = teller.Teller(config, self._engine, self._answers, self._lasted)
            self._teller = made
            await made.configure(config)

    async def _tell(self, teller: Teller) -> None:
        """Let it tell until the configuration changes; raise what ends it."""
        tasks = [asyncio.ensure_future(teller.run()), asyncio.ensure_future(self._changed.wait())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks, return_exceptions=True)
