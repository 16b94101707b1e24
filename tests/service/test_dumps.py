"""Files of updates on disks that are full, slow, or never answer: what is lost is told, and nobody waits."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog

from routerd.config.monitoring import MrtSection
from routerd.core.message import SpeakerDown
from routerd.service import disk
from routerd.service import dumps as module
from routerd.service.dumps import Dumps
from routerd.service.observing import Observers
from tests.daemon.harness import becomes
from tests.support.core import Simulation

NODE = "192.168.10.100"


@asynccontextmanager
async def dumping(directory: Path) -> AsyncIterator[tuple[Dumps, Callable[[], None]]]:
    """Dump updates; the function has a session come up, which is a record."""
    simulation = Simulation()
    observers = Observers(simulation.router.planning)
    simulation.up(NODE)
    session = simulation.sessions[NODE]
    made = Dumps(MrtSection(directory=str(directory), interval=0, updates=True), simulation.router, observers)
    task = asyncio.ensure_future(made.run())

    def record() -> None:
        observers.handled(SpeakerDown("x"))
        observers.handled(session)

    try:
        await becomes(lambda: any(directory.glob("updates.*")))
        yield made, record
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def problems(dumps: Dumps) -> str:
    return " ".join(each["what"] for each in dumps.problems)


async def test_records_that_are_lost_are_counted_told_and_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OFTEN", 0.02)
    with structlog.testing.capture_logs() as lines:
        async with dumping(tmp_path) as (made, record):
            append = module.append

            def full(directory: Path, begun: float, octets: bytes) -> None:
                if octets:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(directory))

            monkeypatch.setattr(module, "append", full)
            record()
            await becomes(lambda: "No space left" in problems(made) and "missing" in problems(made))
            monkeypatch.setattr(module, "append", append)
            record()
            await becomes(lambda: "No space left" in problems(made), False)
            assert "records are missing in the file of now" in problems(made)
    assert [line["event"] for line in lines].count("records of updates are lost") == 1


async def test_a_disk_that_never_answers_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OFTEN", 0.02)
    monkeypatch.setattr(module, "LAST", 0.1)
    monkeypatch.setattr(disk, "PATIENCE", 0.05)
    answers, asked = threading.Event(), threading.Event()

    def hangs(*_: object) -> None:
        asked.set()
        answers.wait()

    try:
        async with dumping(tmp_path) as (made, record):
            monkeypatch.setattr(module, "append", hangs)
            record()
            await becomes(asked.is_set)
            await becomes(lambda: "the disk has not answered" in problems(made))
            begun = time.monotonic()
        assert time.monotonic() - begun < 5
        assert all(each.daemon for each in threading.enumerate() if each.name == "detached")
        assert any(each.name == "detached" for each in threading.enumerate())
    finally:
        answers.set()
