"""The time in which a change waits to be confirmed."""

from __future__ import annotations

from pathlib import Path

from routerd.config.load import load
from routerd.core.router import Router
from routerd.service.foreseeing import Foreseer
from routerd.service.journal import Journal
from routerd.service.reload import Reload
from tests.support.core import CONFIG


async def test_an_expiry_that_was_late_ends_no_later_change(tmp_path: Path) -> None:
    """It waited behind the confirmation of its change, and of the next one: that has its own time."""
    path = tmp_path / "routerd.toml"
    path.write_text(CONFIG)
    config = load(path)
    applied: list[object] = []
    reload = Reload(
        path, config, Journal(None), Foreseer(Router(config, 0.0), lambda found, *_: found), applied.append
    )
    path.write_text(CONFIG.replace("hold_time = 9", "hold_time = 30"))
    await reload.reload(None, 3600, "a test")
    expired = reload._until
    await reload.confirm("a test")
    path.write_text(CONFIG.replace("hold_time = 9", "hold_time = 60"))
    await reload.reload(None, 3600, "a test")
    await reload._unconfirmed(expired)
    assert reload.config.peer_groups["nodes"].hold_time == 60
    assert reload.unconfirmed is not None
    await reload._unconfirmed(reload._until)
    assert reload.config.peer_groups["nodes"].hold_time == 30
    assert len(applied) == 3
