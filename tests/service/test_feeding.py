"""What the core is given, and when: losses first, and what can wait not between them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

from routerd.core.message import SessionDown, Settle, Work
from routerd.service.feeding import Feeding

if TYPE_CHECKING:
    from routerd.service.engine import Engine
    from routerd.service.stretches import Stretches
    from routerd.session.speaker import Speaker


class FakeSpeaker:
    """Tells of losses that come one after the other."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.waiting: list[SessionDown] = []

    def lose(self, number: int) -> None:
        self.waiting.append(SessionDown(f"10.0.0.{number}", number, "connection lost", None))
        self.ended.set()

    def lost(self) -> list[SessionDown]:
        found, self.waiting = self.waiting, []
        return found


class FakeEngine:
    """Notes what it is given; the core always has something to do that can wait."""

    class Busy:
        busy = True
        timer = None

    router = Busy()
    unwritten = 0

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.given: list[Any] = []
        self.worked = asyncio.Event()

    def hear(self, message: Any) -> None:
        self.given.append(message)
        if isinstance(message, Work):
            self.worked.set()

    take = hear

    async def room(self) -> None:
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def fed(engine: FakeEngine, speaker: FakeSpeaker) -> AsyncIterator[None]:
    """Feed this engine with what this speaker says, and do what can wait; failover comes first."""
    feeding = Feeding(cast("Engine", engine), cast("Speaker", speaker), cast("Stretches", None))
    tasks = [asyncio.create_task(each) for each in (feeding.fail_over(), feeding.housekeep())]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_what_can_wait_is_not_done_between_losses() -> None:
    speaker, engine = FakeSpeaker(), FakeEngine()
    speaker.lose(0)
    async with fed(engine, speaker):
        for number in range(1, 20):
            for _ in range(5):  # turns in which no loss comes
                await asyncio.sleep(0)
            speaker.lose(number)
        await asyncio.wait_for(engine.worked.wait(), 5)
    before = engine.given[: engine.given.index(Work())]
    assert len([each for each in before if isinstance(each, SessionDown)]) == 20
    assert isinstance(before[-1], Settle)


async def test_nodes_that_are_lost_all_the_time_do_not_put_off_for_ever_what_can_wait() -> None:
    speaker, engine = FakeSpeaker(), FakeEngine()
    speaker.lose(0)
    async with fed(engine, speaker), asyncio.timeout(10):
        while not engine.worked.is_set():
            speaker.lose(1)
            await asyncio.sleep(0)
    assert len(engine.given) > 100
