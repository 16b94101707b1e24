"""A running speaker for tests, with all that it says in a list."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog

from routerd.config.model import Config
from routerd.session.speaker import Speaker
from routerd.session.translation import Message

ROUTER_AS = 64512
T = TypeVar("T", bound=Message)


def free_port() -> int:
    """Return a TCP port that nobody uses: by chance, as other test runs look for one, too, and not one of those that
    the kernel gives to whoever dials."""
    while True:
        port = random.randrange(10_000, 32_768)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("0.0.0.0", port))
            return port


def configuration(port: int, group: dict[str, Any] | None = None, **rest: Any) -> Config:
    """Return a configuration with one group, `nodes`, and a static peer 127.0.0.2 unless told otherwise."""
    return Config.model_validate(
        {
            "router": {"asn": ROUTER_AS, "router_id": "10.0.0.100", "listen": ["127.0.0.1"], "port": port},
            "peer_groups": {"nodes": group or {}},
            "peers": [{"name": "node-2", "address": "127.0.0.2", "group": "nodes"}],
        }
        | rest
    )


class Running:
    """A speaker that runs, a consumer that reads its batches (while `reading` is set), and what it heard."""

    def __init__(self, config: Config) -> None:
        self.speaker = Speaker(config, log=structlog.get_logger())
        self.port = config.router.port
        self.heard: list[Message] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self._arrived = asyncio.Event()
        self._seen: dict[type, int] = {}

    async def consume(self) -> None:
        """Read all batches into `heard`."""
        async for batch, _ in self.speaker.batches():
            self.heard += batch
            self._arrived.set()
            await self.reading.wait()

    async def until(self, condition: Callable[[], object], seconds: float = 10.0) -> None:
        """Wait until a condition holds, looking after every batch."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._arrived.clear()
                try:
                    await asyncio.wait_for(self._arrived.wait(), 0.05)
                except TimeoutError:
                    continue  # a state that no message announces

    async def expect(self, kind: type[T], seconds: float = 10.0) -> T:
        """Return the next message of a type."""
        number = self._seen.get(kind, 0)
        await self.until(lambda: len(self.all(kind)) > number, seconds)
        self._seen[kind] = number + 1
        return self.all(kind)[number]

    def all(self, kind: type[T]) -> list[T]:
        """Return the messages of a type that came so far."""
        return [each for each in self.heard if isinstance(each, kind)]


@asynccontextmanager
async def speaking(config: Config) -> AsyncIterator[Running]:
    """Run a speaker until the block ends; it listens when the block begins."""
    running = Running(config)
    tasks = [asyncio.create_task(running.speaker.run()), asyncio.create_task(running.consume())]
    try:
        await running.until(lambda: running.speaker.state.listening)
        yield running
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results
