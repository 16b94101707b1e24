"""Asks the kernel for the link-layer addresses by which the core tells whose next hop an address is."""

from __future__ import annotations

import asyncio
import contextlib

import structlog

from routerd.core.message import Gateway, Identified, Settle
from routerd.kernel.neighbour import Prober, link_layer_addresses
from routerd.service.engine import Engine

FIRST_LOOK, LAST_LOOK = 0.01, 30.0
"""Seconds between two looks while addresses are missing, doubling; and between two looks when none is: a node may get
a new network card, and an address may move to another node."""

log = structlog.get_logger()


async def identify(engine: Engine) -> None:
    """Look for what the core wants to know whenever it asks, and now and then whether that still holds."""
    with contextlib.closing(Prober()) as prober:
        await _identify(engine, prober)


async def _identify(engine: Engine, prober: Prober) -> None:
    delay, complete = LAST_LOOK, True
    while True:
        try:
            async with asyncio.timeout(delay):
                await engine.identify.wait()
            complete = True
        except TimeoutError:
            pass
        engine.identify.clear()
        wanted = engine.router.rib.judge.hosts.wanted
        found = _look(engine, wanted) if wanted else set()
        missing = wanted - found
        _probe(prober, missing)
        delay = LAST_LOOK if not missing else FIRST_LOOK if complete else min(2 * delay, LAST_LOOK)
        complete = not missing


def _probe(prober: Prober, missing: set[Gateway]) -> None:
    """Have the kernel ask who has these addresses."""
    try:
        prober.probe(missing, prober.look(missing))
    except OSError as error:
        log.warning("the kernel's neighbours could not be asked", reason=str(error))


def _look(engine: Engine, wanted: set[Gateway]) -> set[Gateway]:
    """Tell the core what the kernel has found out by now; return whose addresses that are."""
    try:
        found = link_layer_addresses(wanted)
    except OSError as error:
        log.warning("the kernel's neighbours could not be read", reason=str(error))
        return set()
    if found:
        engine.take(Identified(found))
        engine.take(Settle())
        engine.wake.set()
    return set(found)
