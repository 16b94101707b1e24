"""The engine alone: what breaks it ends it, whoever was told."""

from __future__ import annotations

import asyncio
import errno

import pytest
import structlog

from routerd.config.model import FibSection
from routerd.core.message import Settle
from routerd.core.router import Router
from routerd.kernel.writer import KernelWriter
from routerd.service.engine import Engine
from routerd.session.speaker import Speaker
from tests.support.core import CONFIG, parse
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
