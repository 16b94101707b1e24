"""Times that are told follow the clock when it is set, and do not tremble with it."""

from __future__ import annotations

import pytest

from routerd.service.epoch import Epoch


def test_a_clock_that_is_set_counts_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 100.0
    monkeypatch.setattr("routerd.service.epoch.time.time", lambda: clock)
    monkeypatch.setattr("routerd.service.epoch.time.monotonic", lambda: 40.0)
    epoch = Epoch()
    assert epoch.clock(30.0) == 90.0
    clock = 100.2
    assert epoch.clock(30.0) == 90.0
    clock = 1_764_252_000.0
    assert epoch.clock(30.0) == 1_764_251_990.0
