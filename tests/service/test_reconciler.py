"""Reading the kernel again: what fails is tried again soon, and nothing of it is left out."""

from __future__ import annotations

import asyncio
import errno
import itertools
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import structlog

from routerd.config.model import Config, FibSection
from routerd.core.message import (
    Effect,
    ForeignRoute,
    ForeignRoutes,
    Gateway,
    Input,
    KernelDump,
    KernelObjects,
    Leg,
    Member,
    Program,
    RouteAudit,
    RouteChange,
    SetGroup,
    SetNexthop,
    Settle,
)
from routerd.core.route import Prefix, parse_address
from routerd.core.router import Router
from routerd.kernel.audit import compare
from routerd.kernel.backlog import FEW_GROUPS
from routerd.kernel.dump import dump
from routerd.kernel.writer import KernelWriter
from routerd.service import reconciler as module
from routerd.service.engine import Engine
from routerd.service.reconciler import Reconciler
from routerd.session.speaker import Speaker
from tests.support.core import CONFIG, parse
from tests.support.netns import Namespace, needs_root, router

__all__ = ["router"]

pytestmark = needs_root


@asynccontextmanager
async def reconciling(config: Config, engine: Engine, writer: KernelWriter) -> AsyncIterator[Reconciler]:
    """A reconciler that runs, with an engine that writes."""
    reconciler = Reconciler(config.fib, engine, writer)
    reconciler.begin()
    tasks = [asyncio.create_task(each) for each in (reconciler.run(), engine.write_out())]
    try:
        yield reconciler
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        engine.finish()
        writer.close()


async def test_an_audit_that_failed_is_made_soon(router: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may have deleted routes without a word, which nothing but an audit finds."""
    config = parse(CONFIG)
    failures = 2
    audited = asyncio.Event()

    async def audit(
        expected: dict[Prefix, int], known: ForeignRoutes, fib: FibSection
    ) -> tuple[RouteAudit, KernelDump]:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError(errno.ENOBUFS, "no memory")
        return RouteAudit(expected={}, missing=(), wrong={}, unknown={}, foreign={}), dump(fib)

    class Watched(Router):
        def handle(self, message: Input, now: float) -> list[Effect]:
            if isinstance(message, RouteAudit):
                audited.set()
            return super().handle(message, now)

    with router.enter():
        monkeypatch.setattr(module, "audit", audit)
        monkeypatch.setattr(module, "REREAD_DELAY", 0.01)
        monkeypatch.setattr(module, "AUDIT_SPACING", 0.01)
        writer = KernelWriter(config.fib)
        engine = Engine(config, Watched(config, 0.0), writer, Speaker(config, log=structlog.get_logger()))
        async with reconciling(config, engine, writer) as reconciler:
            reconciler.routes_stale()
            await asyncio.wait_for(audited.wait(), config.fib.audit_interval / 4)


@pytest.mark.alone
async def test_what_makes_routes_stale_all_the_time_costs_a_share_of_it(
    router: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interface flaps beside a full table, which takes its time to read."""
    config = parse(CONFIG)
    begun: list[float] = []
    takes = 0.05

    async def audit(
        expected: dict[Prefix, int], known: ForeignRoutes, fib: FibSection
    ) -> tuple[RouteAudit, KernelDump]:
        begun.append(time.monotonic())
        await asyncio.sleep(takes)
        return RouteAudit(expected={}, missing=(), wrong={}, unknown={}, foreign={}), dump(fib)

    with router.enter():
        monkeypatch.setattr(module, "audit", audit)
        monkeypatch.setattr(module, "AUDIT_SPACING", 0.01)
        monkeypatch.setattr(module, "AUDIT_CREDIT", 1.5 * module.AUDIT_SHARE * takes)
        writer = KernelWriter(config.fib)
        engine = Engine(config, Router(config, 0.0), writer, Speaker(config, log=structlog.get_logger()))
        reconciler = Reconciler(config.fib, engine, writer)
        reconciler.begin()
        tasks = [asyncio.create_task(each) for each in (reconciler.run(), engine.write_out())]
        asked = time.monotonic()
        try:
            async with asyncio.timeout(config.fib.audit_interval / 4):
                while len(begun) < 4:
                    reconciler.routes_stale()
                    await asyncio.sleep(0.01)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            engine.finish()
            writer.close()
    pauses = [after - before for before, after in itertools.pairwise([asked, *begun])]
    assert all(pause < module.AUDIT_SHARE * takes / 2 for pause in pauses[:2])  # a link that goes and comes back
    assert pauses[3] > 0.9 * module.AUDIT_SHARE * takes


async def test_an_audit_finds_what_nobody_told_and_what_is_told_meanwhile_stays(
    router: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of routes of others come and go while the kernel is read."""
    config = parse(CONFIG)
    way, other = (ForeignRoute(1, 4, metric, 0, (Leg(None, 1),)) for metric in (0, 7))
    prefixes = [Prefix(bytes((32, 30, 0, number >> 8, number & 255))) for number in range(5000)]
    audits: list[RouteAudit] = []
    audited = asyncio.Event()

    class Watched(Router):
        def handle(self, message: Input, now: float) -> list[Effect]:
            if isinstance(message, RouteAudit):
                audits.append(message)
                audited.set()
            return super().handle(message, now)

    with router.enter():
        monkeypatch.setattr(module, "AUDIT_SPACING", 0.01)
        writer = KernelWriter(config.fib)
        engine = Engine(config, Watched(config, 0.0), writer, Speaker(config, log=structlog.get_logger()))
        foreign = engine.router.rib.nexthops.foreign

        async def audit(
            expected: dict[Prefix, int], known: ForeignRoutes, fib: FibSection
        ) -> tuple[RouteAudit, KernelDump]:
            """Of the prefixes, the dump has every second one, and nobody told of that."""
            found = dump(fib)
            found = replace(found, foreign=found.foreign | dict.fromkeys(prefixes[::2], (way,)))
            for prefix in prefixes[1::4]:  # those that it lacks
                foreign.apply(RouteChange(prefix, way))
            compared = compare(expected, known, found)
            told = [RouteChange(prefix, other) for prefix in prefixes[:2000]]
            reconciler.routes_changed(tuple(told))
            return compared, found

        monkeypatch.setattr(module, "audit", audit)
        async with reconciling(config, engine, writer) as reconciler:
            before = dict(foreign.routes)
            reconciler.routes_stale()
            await asyncio.wait_for(audited.wait(), config.fib.audit_interval / 4)
    assert set(audits[0].foreign) == {*prefixes[::2], *prefixes[1::4]}
    told = {prefix: (way, other) if number % 4 == 1 else (other,) for number, prefix in enumerate(prefixes[:2000])}
    assert foreign.routes == before | dict.fromkeys(prefixes[2000::2], (way,)) | told


@pytest.mark.parametrize("disturbed", [0, 1, module.ATTEMPTS])
async def test_a_picture_in_which_what_was_written_meanwhile_is_missing_is_not_taken(
    router: Namespace, monkeypatch: pytest.MonkeyPatch, disturbed: int
) -> None:
    """The kernel is read beside all else: what has changed since would be mended as drift, at the cost of flows."""
    config = parse(CONFIG)
    read: list[int] = []
    taken: list[int] = []
    told = asyncio.Event()

    class Watched(Router):
        def handle(self, message: Input, now: float) -> list[Effect]:
            if isinstance(message, KernelObjects):
                taken.append(writer.writes)
                told.set()
            return super().handle(message, now)

    def objects() -> KernelObjects:
        read.append(writer.writes)
        found = module_objects()
        if len(read) <= disturbed:
            writer.write(())
        return found

    module_objects = module.objects
    with router.enter():
        monkeypatch.setattr(module, "objects", objects)
        writer = KernelWriter(config.fib)
        engine = Engine(config, Watched(config, 0.0), writer, Speaker(config, log=structlog.get_logger()))
        async with reconciling(config, engine, writer) as reconciler:
            reconciler.kernel_changed("a test")
            await asyncio.wait_for(told.wait(), 10)
    assert len(read) == disturbed + 1
    assert read[-1] == taken[0]


async def test_groups_that_a_thread_made_while_the_kernel_was_read_stay_known(
    router: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else they would be taken for lost, and what is written to them for somebody else's."""
    config = parse(CONFIG)
    member, *ids = config.fib.ids[: FEW_GROUPS + 1]
    groups = Program(tuple(SetGroup(id, (Member(member),), 8, 1.0) for id in ids))
    first, made, told = threading.Event(), threading.Event(), asyncio.Event()
    loop, module_objects = asyncio.get_running_loop(), module.objects

    class Planned(Router):
        def handle(self, message: Input, now: float) -> list[Effect]:
            if isinstance(message, KernelObjects):
                told.set()
            return [groups] if isinstance(message, Settle) else []

    class Watched(Engine):
        def _write(self) -> None:
            super()._write()
            if first.is_set() and not self.unwritten:
                made.set()

    def objects() -> KernelObjects:
        found = module_objects()
        if not first.is_set():
            first.set()
            loop.call_soon_threadsafe(engine.take, Settle())
            assert made.wait(5)
        return found

    with router.enter():
        monkeypatch.setattr(module, "objects", objects)
        writer = KernelWriter(config.fib)
        engine = Watched(config, Planned(config, 0.0), writer, Speaker(config, log=structlog.get_logger()))
        async with reconciling(config, engine, writer) as reconciler:
            gateway = Gateway(parse_address("10.0.0.2"), socket.if_nametoindex("eth0"))
            assert writer.write([SetNexthop(member, gateway)]) == []
            reconciler.kernel_changed("a test")
            await asyncio.wait_for(told.wait(), 10)
            assert all(map(writer.owns, ids))
