"""A bell: whoever waits goes on at once when it rings, and as with an event otherwise."""

from __future__ import annotations

import asyncio
import contextvars
import socket

import pytest

from routerd.session.bell import Bell


class Waiter:
    """A task that counts how often it was woken."""

    def __init__(self, bell: Bell) -> None:
        self.bell = bell
        self.woken = 0

    async def run(self) -> None:
        """Wait again and again."""
        while True:
            await self.bell.wait()
            self.woken += 1


async def test_whoever_waits_goes_on_while_it_rings() -> None:
    waiter, loop = Waiter(Bell()), asyncio.get_running_loop()
    task = asyncio.create_task(waiter.run())
    await asyncio.sleep(0)
    seen = list[int]()

    def came() -> None:
        for _ in range(3):
            waiter.bell.ring()
            seen.append(waiter.woken)

    loop.call_soon(came)
    await asyncio.sleep(0)
    assert seen == [1, 2, 3]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_whoever_waits_goes_on_in_the_next_turn_when_it_is_set() -> None:
    waiter = Waiter(Bell())
    task = asyncio.create_task(waiter.run())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(waiter.bell.ring)  # which will find that it has been set
    waiter.bell.set()
    waiter.bell.set()
    assert waiter.woken == 0
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert waiter.woken == 1
    task.cancel()


@pytest.mark.parametrize("ring", [True, False])
async def test_what_came_before_anybody_waits_is_not_missed(ring: bool) -> None:
    bell = Bell()
    (bell.ring if ring else bell.set)()
    await asyncio.wait_for(bell.wait(), 1)


@pytest.mark.parametrize("way", ["ring", "set"])
async def test_a_task_that_is_cancelled_while_it_waits_ends(way: str) -> None:
    waiter = Waiter(Bell())
    task = asyncio.create_task(waiter.run())
    await asyncio.sleep(0)
    task.cancel()
    asyncio.get_running_loop().call_soon(getattr(waiter.bell, way))
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 1)
    assert waiter.woken == 0


async def test_what_a_task_raises_while_it_rings_is_its_own() -> None:
    bell = Bell()

    async def fail() -> None:
        await bell.wait()
        raise ValueError("broken")

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(bell.ring)
    with pytest.raises(ValueError, match="broken"):
        await asyncio.wait_for(task, 1)


async def test_a_task_goes_on_in_its_own_context() -> None:
    bell, here = Bell(), contextvars.ContextVar("here", default="elsewhere")

    async def tell() -> tuple[str, object]:
        here.set("the task")
        await bell.wait()
        return here.get(), asyncio.current_task()

    task = asyncio.create_task(tell())
    await asyncio.sleep(0)
    near, far = socket.socketpair()
    with near, far:
        loop = asyncio.get_running_loop()
        loop.add_reader(near, bell.ring)
        far.send(b"x")
        assert await asyncio.wait_for(task, 1) == ("the task", task)
        loop.remove_reader(near)
