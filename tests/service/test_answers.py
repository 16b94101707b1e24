"""What the API answers: a question that takes long holds up nobody."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from unittest.mock import Mock

import pytest
import structlog

from routerd.core.histogram import Histogram
from routerd.core.router import Router
from routerd.kernel.drops import Drops
from routerd.kernel.writer import KernelWriter
from routerd.service import draining
from routerd.service.answers import Answers
from routerd.service.drains import Drains
from routerd.service.engine import Engine
from routerd.service.foreseeing import Foreseer
from routerd.service.journal import Journal
from routerd.service.live import Live
from routerd.service.monitoring import Monitoring
from routerd.service.own_drain import OwnDrain
from routerd.service.peering import Peering
from routerd.service.reload import Reload
from routerd.service.settings import Settings
from routerd.service.shutdowns import Shutdowns
from routerd.service.watchers import Watchers
from routerd.session.speaker import Speaker
from tests.support.core import CONFIG, parse
from tests.support.netns import Namespace, needs_root, router

__all__ = ["router"]

pytestmark = needs_root

STATIC = CONFIG + '\n[[peers]]\nname = "a"\naddress = "192.168.10.101"\ngroup = "nodes"\n'


async def test_buckets_are_not_counted_on_the_event_loop(router: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node may be in thousands of groups, each of which takes a millisecond, and failover waits for nothing."""
    config, threads = parse(STATIC), list[threading.Thread]()

    def count(_: Iterable[tuple[int, int]]) -> int:
        threads.append(threading.current_thread())
        return 7

    monkeypatch.setattr(draining, "_count_buckets", count)
    with router.enter():
        writer, speaker = KernelWriter(config.fib), Speaker(config, log=structlog.get_logger())
        engine = Engine(config, Router(config, 0.0), writer, speaker)
        foreseer = Foreseer(engine.router, writer.buckets.used)
        reload = Reload(Path("none"), config, Journal(None), foreseer, lambda _: None)
        settings, stretches = Settings(config.fib), Histogram(())
        peering = Peering(engine, Shutdowns(""))
        answers = Answers(
            engine,
            speaker,
            settings,
            Drains(""),
            Drops(),
            peering=peering,
            own_drain=OwnDrain("", engine),
            live=Live(Path("none"), engine.router),
            stretches=stretches,
            failures={},
            reload=reload,
            metrics=Mock(),
            exposing=Mock(),
            monitoring=Monitoring(config, engine, Watchers(lambda: None).keep),
        )
        begun = await answers.set_drain("192.168.10.101", on=True, by="a test")
        asked = await answers.drain("192.168.10.101")
        engine.finish()
        writer.close()
    assert begun is not None
    assert asked is not None
    assert (begun["buckets"], asked["buckets"]) == (7, 7)
    assert threading.current_thread() not in threads
