"""Wakeups that coincide: an idle process pays for each far more than for what it does then."""

from __future__ import annotations

import asyncio
import math

_QUARTER = 0.25


def next_tick(period: float, now: float) -> float:
    """Return when whoever looks at something once a `period` is to do so next, in seconds of a clock that says `now`.

    All of one period are given the same times. It is half a period from now at least, one and a half at most.
    """
    return math.floor(now / period + 1.5) * period


def nearest_tick(delay: float, now: float) -> float:
    """Return when whoever waits for about `delay` seconds is to go on: at the nearest quarter of a second."""
    return round((now + delay) / _QUARTER) * _QUARTER


async def doze(delay: float) -> None:
    """Wait about so many seconds: until all go on who wait for as many."""
    now = asyncio.get_running_loop().time()
    await asyncio.sleep(next_tick(delay, now) - now)
