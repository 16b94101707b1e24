"""Checking files beside the sessions that stand."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from routerd.api.endpoints import Failure
from routerd.config.load import load
from routerd.core.router import Router
from routerd.detached import finish
from routerd.service import live as module
from routerd.service.live import Live
from tests.support.core import CONFIG


async def test_one_file_is_checked_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many would share the processor with routing, and those that wait for a disk would pile up."""
    path, begun, answers = tmp_path / "routerd.toml", threading.Event(), threading.Event()
    path.write_text(CONFIG)
    live = Live(path, Router(load(path), 0.0))

    def slow(*_: object) -> list[str]:
        begun.set()
        answers.wait()
        return []

    monkeypatch.setattr(module, "_doubts", slow)
    first = asyncio.create_task(live.check(None))
    try:
        assert await asyncio.to_thread(begun.wait, 5)
        with pytest.raises(Failure, match="another file is being checked"):
            await live.check(None)
    finally:
        answers.set()
    assert [await first, await live.check(None)] == [{"warnings": []}] * 2
    finish(5)
