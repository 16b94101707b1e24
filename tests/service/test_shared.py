"""One answer for all who wait for it."""

from __future__ import annotations

import asyncio

from routerd.shared import Shared


async def test_who_goes_takes_nothing_from_those_who_wait_too() -> None:
    made, go_on = 0, asyncio.Event()

    async def make() -> int:
        nonlocal made
        made += 1
        await go_on.wait()
        return made

    shared = Shared(make)
    first, second = (asyncio.ensure_future(shared.get()) for _ in range(2))
    await asyncio.sleep(0)  # one turn of the loop, in which both begin
    first.cancel()
    await asyncio.wait({first})
    go_on.set()
    assert await second == 1
    assert await shared.get() == 2


async def test_what_lasts_too_long_is_made_anew() -> None:
    """It may never end: whoever asks later need not wait for that."""
    made, never = 0, asyncio.Event()

    async def make() -> int:
        nonlocal made
        made += 1
        if made == 1:
            await never.wait()
        return made

    shared = Shared(make, lasts=0.0)
    stuck = asyncio.ensure_future(shared.get())
    await asyncio.sleep(0)  # one turn of the loop, in which it begins
    assert await shared.get() == 2
    never.set()
    await stuck
