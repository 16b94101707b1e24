"""Who feeds the core: what is due by the clock comes to its turn however much is said, and messages in slices."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from routerd.core.message import Settle
from routerd.service.feeding import Feeding


class FakeEngine:
    """Notes what it is given; what is due by the clock is done with a Settle that looks at it."""

    def __init__(self) -> None:
        self.wake = asyncio.Event()
        self.given: list[Any] = []
        self.due_in_room: float | None = None
        self.router = SimpleNamespace(busy=False, timer=None)
        self.stretches = SimpleNamespace(began=math.inf)
        self.heard = 0
        """Messages since the last room: the second is late."""

    def hear(self, message: object) -> None:
        self.given.append(message)
        self.heard += 1
        self.stretches.began = math.inf if self.heard < 2 else -math.inf

    def take(self, message: object) -> None:
        self.given.append(message)
        if isinstance(message, Settle) and message.due:
            self.router.timer = None

    async def room(self) -> None:
        self.given.append("room")
        self.router.timer = self.due_in_room
        self.heard, self.stretches.began = 0, math.inf
        await asyncio.sleep(0)


class FakeSpeaker:
    """Says one batch, a letter a message, and whether more waits."""

    def __init__(self, batch: str, *, more: bool) -> None:
        self._batch = batch
        self._more = more

    async def batches(self) -> AsyncIterator[tuple[list[str], bool]]:
        yield list(self._batch), self._more


async def test_what_is_due_is_done_though_messages_never_end_and_more_of_them_wait_then() -> None:
    engine = FakeEngine()
    engine.due_in_room = 1.0  # long ago
    feeding: Any = Feeding(engine, FakeSpeaker("abcdefghijklmnopqrst", more=False), engine.stretches)  # type: ignore[arg-type]
    tasks = [asyncio.create_task(each) for each in (feeding.listen(), feeding.housekeep())]
    for _ in range(4):
        await asyncio.sleep(0)
    assert "t" not in engine.given
    assert {each for each in engine.given if isinstance(each, Settle) and each.due} == {Settle(quiet=False)}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("more", [True, False])
async def test_a_batch_that_takes_long_is_planned_in_a_stretch_of_its_own(more: bool) -> None:
    engine = FakeEngine()
    feeding: Any = Feeding(engine, FakeSpeaker("abc", more=more), engine.stretches)  # type: ignore[arg-type]
    await feeding.listen()
    assert engine.given == [
        *("a", "b", "room", Settle(quiet=False, due=False)),
        *("c", Settle(quiet=not more, due=False), "room"),
    ]
