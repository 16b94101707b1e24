"""Probing: whoever waits for the kernel to delete large groups is a thread."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from routerd.config.model import LivenessSection
from routerd.core.message import Gateway
from routerd.core.route import parse_address
from routerd.service import neighbours
from routerd.service.neighbours import MANY_BUCKETS, Neighbours

NODE = Gateway(parse_address("10.0.0.65"), 1)


class FakeProber:
    """Probes until it is let go, at most ten seconds, and notes in which threads."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.threads: list[threading.Thread] = []
        self.probed = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def look(self, gateways: object) -> dict[Gateway, Any]:
        return {}

    def probe(self, gateways: object, entries: object) -> None:
        self.threads.append(threading.current_thread())
        self._loop.call_soon_threadsafe(self.probed.set)
        self.go_on.wait(10)


def probing(monkeypatch: pytest.MonkeyPatch, buckets: int) -> tuple[Neighbours, FakeProber]:
    """Return what probes a node beside groups of so many buckets."""
    prober = FakeProber()
    monkeypatch.setattr(neighbours, "Prober", lambda: prober)
    router = SimpleNamespace(
        gateways=SimpleNamespace(watched={NODE}),
        health=SimpleNamespace(having=lambda reason: set[Gateway]()),
        rib=SimpleNamespace(nexthops=SimpleNamespace(name_of=lambda index: "eth0")),
        fib=SimpleNamespace(groups=SimpleNamespace(buckets=buckets)),
    )
    engine: Any = SimpleNamespace(router=router, tally=SimpleNamespace(probes=0))
    settings: Any = SimpleNamespace(follow=lambda wanted: None)
    return Neighbours(LivenessSection(interval=0.2), engine, settings), prober


@pytest.mark.parametrize("buckets", [MANY_BUCKETS - 1, MANY_BUCKETS])
async def test_a_thread_waits_where_the_kernel_may_take_long(monkeypatch: pytest.MonkeyPatch, buckets: int) -> None:
    many = buckets >= MANY_BUCKETS
    watching, prober = probing(monkeypatch, buckets)
    if not many:
        prober.go_on.set()
    task = asyncio.create_task(watching.watch())
    await asyncio.wait_for(prober.probed.wait(), 5)  # while it probes
    watching.configure(LivenessSection(interval=0.2))
    assert [thread is threading.main_thread() for thread in prober.threads] == [not many]
    prober.probed.clear()
    prober.go_on.set()
    await asyncio.wait_for(prober.probed.wait(), 5)  # another round, which the configuration asks for
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
