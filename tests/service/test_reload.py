"""The time in which a change waits to be confirmed; and that no forecast stands in its way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock

import pytest

from routerd.api.endpoints import Failure
from routerd.api.slices import in_slices
from routerd.config.load import load
from routerd.config.source import read
from routerd.core.router import Router
from routerd.service import foreseeing
from routerd.service import reload as module
from routerd.service.foreseeing import Foreseer
from routerd.service.journal import Journal, digest
from routerd.service.reload import Reload
from tests.support.core import CONFIG


def _reload(directory: Path) -> tuple[Path, Reload, list[object]]:
    """Return a file, what takes it over, and what has been put in force."""
    path = directory / "routerd.toml"
    path.write_text(CONFIG)
    config = load(path)
    applied: list[object] = []
    foreseer = Foreseer(Router(config, 0.0), lambda *_: set())
    journal = Journal(None)
    sources = read(path)
    journal.add(sources.files, digest(sources.files), 0.0, "a test", confirmed=True)
    return path, Reload(path, config, journal, foreseer, applied.append), applied


async def test_an_expiry_that_was_late_ends_no_later_change(tmp_path: Path) -> None:
    """It waited behind the confirmation of its change, and of the next one: that has its own time."""
    path, reload, applied = _reload(tmp_path)
    path.write_text(CONFIG.replace("hold_time = 9", "hold_time = 30"))
    await reload.reload(None, 3600, "a test")
    expired = reload._trial
    await reload.confirm("a test")
    path.write_text(CONFIG.replace("hold_time = 9", "hold_time = 60"))
    await reload.reload(None, 3600, "a test")
    await reload._unconfirmed(expired)
    assert reload.config.peer_groups["nodes"].hold_time == 60
    assert reload.unconfirmed is not None
    await reload._unconfirmed(reload._trial)
    assert reload.config.peer_groups["nodes"].hold_time == 30
    assert len(applied) == 3


async def test_what_is_taken_back_is_not_taken_back_again(tmp_path: Path) -> None:
    """Who rolls a change back that waited to be confirmed hears of no time that runs."""
    path, reload, _ = _reload(tmp_path)
    path.write_text(CONFIG.replace("hold_time = 9", "hold_time = 30"))
    answer = await reload.reload(None, 60, "a test")
    assert answer["confirm_seconds"] == pytest.approx(60, abs=30)
    assert (await reload.rollback(0, "a test"))["confirm_seconds"] is None
    assert reload.unconfirmed is None


async def test_what_runs_is_named_where_the_file_says_something_else(tmp_path: Path) -> None:
    path, reload, _ = _reload(tmp_path)
    good, other = reload._journal.entries[0].number, tmp_path / "other.toml"
    path.write_text(CONFIG.replace("hold_time = 9", "hold_time = 30"))
    await reload.reload(None, 0, "a test")
    assert reload.differs == ""
    await reload.rollback(good, "a test")
    assert reload.differs == f"an earlier {path} is in force"
    other.write_text(CONFIG.replace("hold_time = 9", "hold_time = 60"))
    await reload.reload(str(other), 0, "a test")
    assert reload.differs == f"{other}, as it was taken, is in force, not {path}"


async def _hangs(*_: object) -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("foresee", "why"),
    [
        (AsyncMock(side_effect=MemoryError("full")), "that has failed (MemoryError('full')); the log says more"),
        (_hangs, "that takes longer than 0.05 s"),
    ],
    ids=["fails", "takes long"],
)
async def test_a_forecast_keeps_no_change_from_being_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, foresee: Callable[..., Any], why: str
) -> None:
    monkeypatch.setattr(module, "FORESEEING", 0.05)
    monkeypatch.setattr(module, "LOOKING", 0.05)
    path, reload, applied = _reload(tmp_path)
    monkeypatch.setattr(reload._foreseer, "foresee", foresee)
    path.write_text(CONFIG.replace("hold_time = 9", "hold_time = 30"))
    looked = await reload.diff(None)
    assert (looked["forecast"], looked["unforeseen"], applied) == (None, why, [])
    taken = await reload.reload(None, 0, "a test")
    assert (taken["forecast"], taken["unforeseen"]) == (None, why)
    assert reload.config.peer_groups["nodes"].hold_time == 30
    back = await reload.rollback(reload._journal.entries[0].number, "a test")
    assert (back["applied"], back["unforeseen"], len(applied)) == (True, why, 2)


async def test_one_dry_run_at_a_time_and_no_change_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, reload, _ = _reload(tmp_path)
    path.write_text(CONFIG.replace("hold_time = 9", "hold_time = 30"))
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(slices: Any) -> Any:
        if not begun.is_set():
            begun.set()
            await go_on.wait()
        return await in_slices(slices)

    monkeypatch.setattr(foreseeing, "in_slices", slow)
    first = asyncio.create_task(reload.diff(None))
    await begun.wait()
    with pytest.raises(Failure, match="another dry run is under way") as refused:
        await reload.diff(None)
    assert refused.value.status == 503
    taken = await reload.reload(None, 0, "a test")
    assert (taken["unforeseen"], taken["forecast"] is not None) == ("", True)
    go_on.set()
    assert (await first)["changes"]
    assert (await reload.diff(None))["changes"] == []


async def test_a_refused_reload_is_known_until_the_file_is_taken(tmp_path: Path) -> None:
    """Who asked for it may have been a script: a restart would not take the file either."""
    path, reload, applied = _reload(tmp_path)
    path.write_text(CONFIG + "nonsense")
    with pytest.raises(Failure):
        await reload.reload(None, 0, "a test")
    assert str(path) in reload.refused
    path.write_text(CONFIG)
    await reload.reload(None, 0, "a test")
    assert (reload.refused, applied) == ("", [])
    other = tmp_path / "other.toml"
    other.write_text("nonsense")
    with pytest.raises(Failure):
        await reload.reload(str(other), 0, "a test")
    assert reload.refused == "", "that is not the daemon's own file"


async def test_the_file_is_read_in_a_thread_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be on a disk that does not answer; the kernel is read in asyncio's threads."""
    path, reload, _ = _reload(tmp_path)
    threads: dict[str, str] = {}

    def noted(name: str, answer: Callable[..., Any]) -> Callable[..., Any]:
        def read(*given: Any) -> Any:
            threads[name] = threading.current_thread().name
            return answer(*given)

        return read

    for name in ("asked_for", "kept", "digest_of"):
        monkeypatch.setattr(module, name, noted(name, getattr(module, name)))
    for change in ("hold_time = 30", "hold_time = 60"):
        path.write_text(CONFIG.replace("hold_time = 9", change))
        await reload.reload(None, 0, "a test")
    await reload.rollback(0, "a test")
    await reload.reload(None, 60, "a test")
    await reload.rollback(0, "a test")
    assert threads == dict.fromkeys(("asked_for", "kept", "digest_of"), "detached")
