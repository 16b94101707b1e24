"""The collector does its work in parts, and the event loop has its turns in between."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest

from routerd.api.slices import SLICE
from routerd.memory import collect_seldom


@pytest.fixture
def collector() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.usefixtures("collector")
def test_rows_of_an_answer_are_looked_at_in_parts() -> None:
    """None of the collections beside a large answer takes longer than a few slices of it."""
    took: list[float] = []
    begun = 0.0

    def look(phase: str, _: object) -> None:
        nonlocal begun
        if phase == "start":
            begun = time.process_time()
        else:
            took.append(time.process_time() - begun)

    gc.collect()
    collect_seldom()
    gc.callbacks.append(look)
    try:
        rows = [{"prefix": str(number), "next_hops": [str(number)]} for number in range(100_000)]
    finally:
        gc.callbacks.remove(look)
    assert len(rows) == 100_000
    assert 5 < len(took) < 50, "seldom, and not never"
    assert sorted(took)[len(took) // 2] < 4 * SLICE
