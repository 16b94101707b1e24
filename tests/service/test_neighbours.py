"""Probing: when the entries are looked at before, and that a thread waits for the kernel to delete large groups."""

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
from routerd.kernel.neighbour import NUD_FAILED, NUD_PERMANENT, Neighbour
from routerd.service import neighbours
from routerd.service.neighbours import MANY_BUCKETS, Neighbours

NODE = Gateway(parse_address("10.0.0.65"), 1)


class FakeProber:
    """Probes until it is let go, at most ten seconds, and notes what was done, and in which threads."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.threads: list[threading.Thread] = []
        self.probed = asyncio.Event()
        self.done: list[str] = []
        self.answering = True
        self.error: Exception | None = None
        self._loop = asyncio.get_running_loop()

    def look(self, gateways: object) -> dict[Gateway, Any]:
        self.done.append("look")
        self.threads.append(threading.current_thread())
        return {}

    def restore(self, made: Neighbour) -> bool:
        return False

    def probe(self, gateways: object, entries: object) -> bool:
        return self.probe_again()

    def probe_again(self) -> bool:
        self.done.append("probe")
        self.threads.append(threading.current_thread())
        self._loop.call_soon_threadsafe(self.probed.set)
        self.go_on.wait(10)
        if self.error is not None:
            raise self.error
        return self.answering


def probing(monkeypatch: pytest.MonkeyPatch, buckets: int, unwritten: int = 0) -> tuple[Neighbours, FakeProber]:
    """Return what probes a node beside groups of so many buckets, while so many routes wait to be written."""
    prober = FakeProber()
    monkeypatch.setattr(neighbours, "Prober", lambda: prober)
    router = SimpleNamespace(
        gateways=SimpleNamespace(version=(1,), watched={NODE}, watches=lambda gateway: gateway == NODE),
        health=SimpleNamespace(having=lambda reason: set[Gateway]()),
        rib=SimpleNamespace(nexthops=SimpleNamespace(name_of=lambda index: "eth0")),
        fib=SimpleNamespace(groups=SimpleNamespace(buckets=buckets)),
    )
    engine: Any = SimpleNamespace(router=router, unwritten=unwritten, handled=0, tally=SimpleNamespace(probes=0))
    settings: Any = SimpleNamespace(follow=lambda wanted: None)
    return Neighbours(LivenessSection(interval=0.05), engine, settings), prober


@pytest.mark.parametrize(("buckets", "unwritten"), [(MANY_BUCKETS - 1, 0), (MANY_BUCKETS, 0), (0, 1)])
async def test_a_thread_waits_where_the_kernel_may_take_long(
    monkeypatch: pytest.MonkeyPatch, buckets: int, unwritten: int
) -> None:
    many = buckets >= MANY_BUCKETS or unwritten > 0
    watching, prober = probing(monkeypatch, buckets, unwritten)
    if not many:
        prober.go_on.set()
    task = asyncio.create_task(watching.watch())
    await asyncio.wait_for(prober.probed.wait(), 5)  # while it probes
    watching.configure(LivenessSection(interval=0.2))
    assert [thread is threading.main_thread() for thread in prober.threads] == [not many] * 2
    prober.probed.clear()
    prober.go_on.set()
    await asyncio.wait_for(prober.probed.wait(), 5)  # another round, which the configuration asks for
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


FAILED = Neighbour(NODE, NUD_FAILED, 0, 0, 5)
FOREIGN = Neighbour(NODE, NUD_PERMANENT, 0, 0, 0)


@pytest.mark.parametrize(
    ("told", "looks"),
    [
        ("", False),
        ("failed by hand", True),
        ("foreign", True),
        ("lost", True),
        ("something happens", False),
        ("another is watched", True),
        ("the link has another name", True),
    ],
)
async def test_entries_are_not_looked_at_again_unless_something_is_told(
    monkeypatch: pytest.MonkeyPatch, told: str, looks: bool
) -> None:
    monkeypatch.setattr(neighbours, "UNREAD", 60.0)
    watching, prober = probing(monkeypatch, buckets=0)
    router: Any = watching._router
    engine: Any = watching._engine
    prober.go_on.set()
    task = asyncio.create_task(watching.watch())

    async def rounds(count: int) -> list[str]:
        """What is done until so many probes more were sent."""
        for _ in range(count):
            prober.probed.clear()
            await asyncio.wait_for(prober.probed.wait(), 5)
        return prober.done

    assert await rounds(4) == ["look", *["probe"] * 4]
    prober.done.clear()
    match told:
        case "failed by hand":
            watching.heard(FAILED, 1)
        case "foreign":
            watching.heard(FOREIGN, 1)
        case "lost":
            watching.heard(None, 0)
        case "something happens":
            engine.handled = 1
        case "another is watched":
            router.gateways.version, engine.handled = (2,), 1
        case "the link has another name":
            router.rib.nexthops.name_of, engine.handled = lambda index: "eth1", 1
    assert await rounds(2) == [*["look"] * looks, "probe", "probe"]
    prober.answering = False
    assert (await rounds(4))[-4:] == ["look", "probe"] * 2
    prober.answering = True
    await rounds(2)
    prober.error = OSError("no buffer space")
    assert (await rounds(4))[-4:] == ["look", "probe"] * 2
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_entries_are_looked_at_now_and_then_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "UNREAD", 0.3)
    watching, prober = probing(monkeypatch, buckets=0)
    prober.go_on.set()
    task = asyncio.create_task(watching.watch())
    await asyncio.sleep(1.5)  # what is counted is how many looks there are in a time
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert 3 <= prober.done.count("look") < prober.done.count("probe")
