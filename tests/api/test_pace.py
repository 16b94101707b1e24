"""Turns of those who make answers: few while routing is busy, however many ask; nobody is passed over."""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import pytest

from routerd.api import pace as module
from routerd.api.pace import ALONE, RESTS, Pace, pace
from routerd.api.slices import SLICE, in_turns

SPENT = 0.001


async def _ask(turns: Pace, name: int, taken: list[int]) -> None:
    while True:
        await turns.begin()
        taken.append(name)
        turns.end(SPENT)


async def _taken(turns: Pace, readers: int, seconds: float) -> list[int]:
    """Return who had turns, in order."""
    taken: list[int] = []
    tasks = [asyncio.create_task(_ask(turns, name, taken)) for name in range(readers)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return taken


@pytest.mark.parametrize(("readers", "rests"), [(1, ALONE), (50, RESTS)])
async def test_answers_have_a_small_share_while_routing_is_busy(readers: int, rests: int) -> None:
    turns = Pace()
    turns.busy = lambda: True
    seconds = 10 * SPENT * RESTS
    taken = await _taken(turns, readers, seconds)
    assert 1 < len(taken) <= seconds / (SPENT * rests) + 3
    assert taken[1:] == [number % readers for number in range(len(taken) - 1)], "first come, first served"


async def test_they_go_on_at_once_when_routing_has_nothing_to_do() -> None:
    turns = Pace()
    taken = await _taken(turns, 5, 10 * SPENT * RESTS)
    assert len(taken) > 100
    counts = [taken.count(name) for name in range(5)]
    assert max(counts) - min(counts) <= 2


async def test_between_two_bursts_routing_counts_as_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINGERING", 60.0)
    turns = Pace()
    answers = iter([True])
    turns.busy = lambda: next(answers, False)
    assert len(await _taken(turns, 50, 5 * SPENT * RESTS)) <= 8


async def test_who_goes_away_hands_the_turn_on() -> None:
    turns = Pace()
    await turns.begin()
    first, second = (asyncio.create_task(turns.begin()) for _ in range(2))
    await asyncio.sleep(0)
    turns._next()
    first.cancel()  # the turn is its own already
    await asyncio.wait_for(second, 5)
    third = asyncio.create_task(turns.begin())
    await asyncio.sleep(0)
    third.cancel()
    await asyncio.sleep(0)
    turns.end(0.0)
    await asyncio.sleep(0.01)
    await asyncio.wait_for(turns.begin(), 5)


async def test_a_view_is_made_and_an_error_leaves_the_turn_to_others() -> None:
    def made(number: int) -> Generator[None, None, int]:
        yield
        return 1 // number

    with pytest.raises(ZeroDivisionError):
        await in_turns(made(0))
    assert await asyncio.wait_for(in_turns(made(1)), 5) == 1
    assert pace() is pace()
    assert SLICE < SPENT * RESTS
