"""Checking files beside the sessions that stand."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from routerd.config.load import load
from routerd.core.router import Router
from routerd.detached import finish
from routerd.service import live as module
from routerd.service.live import Live
from tests.daemon.harness import becomes
from tests.support.core import CONFIG


async def test_one_file_is_checked_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread each would take routing its time, and those that hang at a disk would pile up."""
    path, answers = tmp_path / "routerd.toml", threading.Event()
    path.write_text(CONFIG)
    live = Live(path, Router(load(path), 0.0))

    def slow(*_: object) -> list[str]:
        answers.wait()
        return []

    def busy() -> int:
        return sum(each.name == "detached" for each in threading.enumerate())

    monkeypatch.setattr(module, "_doubts", slow)
    checks = [asyncio.create_task(live.check(None)) for _ in range(20)]
    try:
        await becomes(busy)
        assert busy() == 1
    finally:
        answers.set()
    assert await asyncio.gather(*checks) == [{"warnings": []}] * 20
    finish(5)
