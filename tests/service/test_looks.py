"""Looks in a thread: in time, until something is found, and no thread without a look."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial

import pytest

from routerd.service import looks


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread ends soon after the last look."""
    monkeypatch.setattr(looks, "LINGER", 0.1)


async def _gone() -> None:
    thread = looks._thread
    if thread is not None:
        await asyncio.to_thread(thread.join, 5)
    assert looks._thread is None


async def test_a_look_that_begins_while_the_thread_sleeps_is_made_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if it is the first one, or comes again and again."""
    monkeypatch.setattr(looks, "LINGER", 30.0)
    seldom = asyncio.ensure_future(looks.until(30.0, lambda: False))
    await asyncio.wait_for(looks.until(0.02, lambda: True), 5)  # now the thread sleeps for its 15 to 45 seconds
    began = time.monotonic()
    for _ in range(40):
        await asyncio.wait_for(looks.until(0.02, lambda: True), 5)
    assert time.monotonic() - began < 5  # 0.8, and 10 if each waited for a quarter of a second
    monkeypatch.setattr(looks, "LINGER", 0.1)
    seldom.cancel()
    await asyncio.wait([seldom])
    await asyncio.wait_for(looks.until(0.05, lambda: True), 5)
    await _gone()


async def test_it_looks_in_another_thread_until_something_is_found() -> None:
    threads: list[threading.Thread] = []

    def finds() -> bool:
        threads.append(threading.current_thread())
        return len(threads) == 3

    await asyncio.wait_for(looks.until(0.05, finds), 5)
    assert len(threads) == 3
    assert set(threads).isdisjoint({threading.main_thread()})
    await _gone()


async def test_each_has_its_period_and_all_of_one_period_look_together() -> None:
    times: dict[str, list[float]] = {"often": [], "as often": [], "seldom": []}

    def note(name: str) -> bool:
        times[name].append(time.monotonic())
        return len(times["seldom"]) == 3

    each = [looks.until(period, partial(note, name)) for name, period in zip(times, (0.05, 0.05, 0.4), strict=True)]
    await asyncio.wait_for(asyncio.gather(*each), 5)
    assert len(times["often"]) > 2 * len(times["seldom"])
    assert abs(len(times["often"]) - len(times["as often"])) <= 1
    await _gone()


async def test_an_error_is_for_whoever_waits_and_ends_no_other_look() -> None:
    found = threading.Event()
    other = asyncio.ensure_future(looks.until(0.05, found.is_set))

    def fails() -> bool:
        raise OSError("no buffer space")

    with pytest.raises(OSError, match="no buffer space"):
        await asyncio.wait_for(looks.until(0.05, fails), 5)
    found.set()
    await asyncio.wait_for(other, 5)
    await _gone()


def test_what_is_found_when_nobody_waits_any_more_harms_nobody() -> None:
    """The event loop may be closed by then."""
    looking, go_on = threading.Event(), threading.Event()

    def finds() -> bool:
        looking.set()
        return go_on.wait(5)

    async def given_up() -> None:
        task = asyncio.ensure_future(looks.until(0.02, finds))
        await asyncio.to_thread(looking.wait, 5)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(given_up())
    go_on.set()
    asyncio.run(_gone())


async def test_without_a_thread_there_is_an_error_and_with_one_again_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", fails)
        with pytest.raises(RuntimeError):
            await asyncio.wait_for(looks.until(0.02, lambda: True), 5)
    await asyncio.wait_for(looks.until(0.02, lambda: True), 5)
    await _gone()


async def test_there_are_looks_again_after_there_was_none() -> None:
    for _ in range(3):
        await asyncio.wait_for(looks.until(0.02, lambda: True), 5)
        await _gone()
