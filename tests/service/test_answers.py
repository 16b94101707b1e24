"""What the API answers: a question that takes long holds up nobody."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Never
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
from tests.support.slices import whole

__all__ = ["router"]

pytestmark = needs_root

STATIC = CONFIG + '\n[[peers]]\nname = "a"\naddress = "192.168.10.101"\ngroup = "nodes"\n'


@contextmanager
def _answers(inside: Namespace) -> Iterator[Answers]:
    """Answers about a router that has a peer and nothing else."""
    config = parse(STATIC)
    with inside.enter():
        writer, speaker = KernelWriter(config.fib), Speaker(config, log=structlog.get_logger())
        engine = Engine(config, Router(config, 0.0), writer, speaker)
        foreseer = Foreseer(engine.router, writer.buckets.used)
        yield Answers(
            engine,
            speaker,
            Settings(config.fib),
            Drains(""),
            Drops(),
            peering=Peering(engine, Shutdowns("")),
            own_drain=OwnDrain("", engine),
            live=Live(Path("none"), engine.router),
            stretches=Histogram(()),
            failures={},
            reload=Reload(Path("none"), config, Journal(None), foreseer, lambda _: None),
            metrics=Mock(),
            exposing=Mock(problems=lambda: ()),
            monitoring=Monitoring(config, engine, Watchers(lambda: None).keep),
        )
        engine.finish()
        writer.close()


async def test_buckets_are_not_counted_on_the_event_loop(router: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node may be in thousands of groups, each of which takes a millisecond, and failover waits for nothing."""
    threads = list[threading.Thread]()

    def count(_: Iterable[tuple[int, int]]) -> int:
        threads.append(threading.current_thread())
        return 7

    monkeypatch.setattr(draining, "_count_buckets", count)
    with _answers(router) as answers:
        begun = await answers.set_drain("192.168.10.101", on=True, by="a test")
        asked = await answers.drain("192.168.10.101")
    assert begun is not None
    assert asked is not None
    assert (begun["buckets"], asked["buckets"]) == (7, 7)
    assert threading.current_thread() not in threads


async def test_a_host_that_cannot_be_read_hides_nothing_else(
    router: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is a problem among the others, and `status`, which is asked when things go wrong, answers."""

    def short(*_: object) -> Never:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Settings, "host", short)
    with _answers(router) as answers:
        found = whole(answers.status())
    problems = {each["where"]: each["what"] for each in found["problems"]}
    assert "Too many open files" in problems["host"]
    assert "peer a" in problems
