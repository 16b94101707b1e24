"""The engine alone: what breaks it ends it, whoever was told."""

from __future__ import annotations

import asyncio
import contextlib
import errno

import pytest
import structlog

from routerd.config.model import FibSection
from routerd.core.message import (
    Advertise,
    FindUnused,
    Gateway,
    Program,
    SessionDown,
    SessionUp,
    SetNexthop,
    Settle,
    Update,
)
from routerd.core.route import parse_address, parse_prefix
from routerd.core.router import Router
from routerd.kernel.writer import KernelWriter
from routerd.service.engine import Engine
from routerd.session.codecs import Codecs
from routerd.session.frames import RawUpdate
from routerd.session.speaker import Speaker
from tests.support import bgp
from tests.support.core import CONFIG, opened, parse
from tests.support.netns import Namespace, needs_root, router

__all__ = ["router"]

pytestmark = needs_root


async def test_a_caller_that_lives_with_an_error_does_not_keep_a_broken_engine_alive(
    router: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def handle(*_: object) -> None:
        raise OSError(errno.ENOBUFS, "no memory")

    config = parse(CONFIG)
    with router.enter():
        writer = KernelWriter(FibSection())
        engine = Engine(config, Router(config, 0.0), writer, Speaker(config, log=structlog.get_logger()))
        monkeypatch.setattr(engine.router, "handle", handle)
        with pytest.raises(OSError, match="no memory"):
            engine.take(Settle())
        with pytest.raises(OSError, match="no memory"):
            await asyncio.wait_for(engine.write_out(), 5)
        engine.finish()
        writer.close()


async def test_failover_does_not_wait_for_who_only_watches(
    router: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, order = parse(CONFIG), list[str]()

    def jump(_: object) -> list[object]:
        order.append("written")
        return []

    with router.enter():
        writer = KernelWriter(FibSection())
        engine = Engine(config, Router(config, 0.0), writer, Speaker(config, log=structlog.get_logger()))
        engine.heed = lambda effect: order.append("told")
        monkeypatch.setattr(engine._backlog, "jump", jump)
        monkeypatch.setattr(engine.router, "handle", lambda *_: [Program((), urgent=True)])
        engine.take(Settle())
        assert order == ["written", "told"]
        engine.finish()
        writer.close()


@pytest.mark.parametrize("breaks", [False, True])
async def test_what_is_written_is_counted_after_that_and_even_if_it_fails(
    router: Namespace, monkeypatch: pytest.MonkeyPatch, breaks: bool
) -> None:
    config, counted = parse(CONFIG), list[dict[str, int]]()
    operations = (SetNexthop(7, Gateway(parse_address("192.0.2.1"), 1)),)
    with router.enter():
        writer = KernelWriter(FibSection())
        engine = Engine(config, Router(config, 0.0), writer, Speaker(config, log=structlog.get_logger()))

        def write(_: float) -> list[object]:
            counted.append(dict(engine.tally.writes))
            engine._backlog.length = 0
            if breaks:
                raise OSError(errno.ENOBUFS, "no memory")
            return []

        monkeypatch.setattr(engine._backlog, "write", write)
        monkeypatch.setattr(
            engine.router, "handle", lambda message, _: [Program(operations)] * isinstance(message, Settle)
        )
        engine.take(Update("192.168.10.101", 1, [parse_prefix("172.16.1.1/32")]))
        assert not engine.tally.peers  # the end of the batch is still to come
        with pytest.raises(OSError, match="no memory") if breaks else contextlib.nullcontext():
            engine.take(Settle())
        assert counted == [{}]
        assert engine.tally.writes == {"set_nexthop": 1}
        assert engine.tally.of("192.168.10.101").messages == {("received", "update"): 1}
        assert engine.changes.gateway(7) == operations[0].gateway
        engine.finish()
        writer.close()


@pytest.mark.parametrize("error", [MemoryError(), ValueError("a bug")])
@pytest.mark.parametrize("method", ["decode", "encode"])
async def test_what_cannot_be_read_or_said_costs_that_peer_its_session_alone(
    router: Namespace, monkeypatch: pytest.MonkeyPatch, method: str, error: Exception
) -> None:
    closed: list[tuple[str, int, int, int]] = []
    config = parse(CONFIG)
    bad, good = "192.168.10.101", "192.168.10.102"
    working = getattr(Codecs, method)

    def breaks(self: Codecs, given: RawUpdate | Advertise) -> object:
        if given.peer == bad:
            raise error
        return working(self, given)

    with router.enter():
        writer = KernelWriter(FibSection())
        speaker = Speaker(config, log=structlog.get_logger())
        monkeypatch.setattr(speaker, "overtaken", lambda generation: None)
        monkeypatch.setattr(speaker, "close", lambda *what: closed.append(what[:4]))
        engine = Engine(config, Router(config, 0.0), writer, speaker)
        monkeypatch.setattr(Codecs, method, breaks)
        ups = [
            SessionUp(peer, generation, "192.168.10.200", opened(65001, peer), opened(65000, "192.168.10.200"))
            for generation, peer in enumerate((bad, good), 1)
        ]
        if method == "encode" and not isinstance(error, MemoryError):
            with pytest.raises(ValueError, match="a bug"):  # it may be anything that the core has done
                engine.hear(ups[0])
        else:
            for up in ups:
                engine.hear(up)
                engine.hear(RawUpdate(up.peer, up.generation, bgp.end_of_rib()[19:]))
            assert {peer: (generation, code, sub) for peer, generation, code, sub in closed} == {bad: (1, 6, 8)}
            engine.hear(SessionDown(bad, 1, "closed"))
            peers = engine.router.rib.peers
            assert (peers[bad].session, peers[good].session) == (None, ups[1])
            await asyncio.sleep(0)
        engine.finish()
        writer.close()


async def test_a_session_whose_end_was_told_before_its_beginning_is_over(
    router: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has begun all the same: what was kept of the one before is not kept any more."""
    config, peer = parse(CONFIG), "192.168.10.101"
    with router.enter():
        writer = KernelWriter(FibSection())
        speaker = Speaker(config, log=structlog.get_logger())
        engine = Engine(config, Router(config, 0.0), writer, speaker)
        ups = [
            SessionUp(peer, number, "192.168.10.200", opened(65001, peer), opened(65000, "192.168.10.200"))
            for number in (1, 2)
        ]
        engine.hear(ups[0])
        down = SessionDown(peer, 2, "it has left")
        monkeypatch.setattr(speaker, "overtaken", {2: down}.get)
        engine.hear(down)
        assert engine.router.rib.peers[peer].session == ups[0]
        engine.hear(ups[1])
        assert engine.router.rib.peers[peer].session is None
        assert engine.router.rib.peers[peer].sessions == 2
        engine.finish()
        writer.close()


async def test_what_the_kernel_answers_may_be_a_reason_to_do_something_later(
    router: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = parse(CONFIG)
    with router.enter():
        writer = KernelWriter(FibSection())
        engine = Engine(config, Router(config, 0.0), writer, Speaker(config, log=structlog.get_logger()))
        monkeypatch.setattr(
            engine.router, "handle", lambda message, _: [FindUnused((7,))] * isinstance(message, Settle)
        )
        engine.take(Settle())
        assert engine.wake.is_set()
        engine.finish()
        writer.close()
