"""Half a million prefixes loaded, withdrawn and loaded again: what the other nodes and the API notice meanwhile."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from tests.failover.pressure import HOLD, pressed, quantile
from tests.support.netns import needs_root

pytestmark = [needs_root, pytest.mark.timeout(900)]

PREFIXES, ROUNDS = 500_000, 6
STALLS = 3
"""Times that the kernel's trie of routes is doubled, at 131,072 and more, while so many prefixes are loaded."""


async def test_a_load_holds_up_nothing_urgent(tmp_path: Path) -> None:
    async with pressed(tmp_path, 20) as site:
        pressure = await site.load(PREFIXES, ROUNDS)
        print(f"\n{pressure}")
        assert [agent.losses for agent in site.nodes] == [0] * len(site.nodes)
    for figures in (pressure.loads, pressure.withdrawals):
        # The kernel itself stands still for tenths of a second when its trie of routes grows or shrinks.
        assert statistics.median(figures.lost) < 0.05
        assert statistics.median(figures.api) < 0.2
    assert sum(lost > 0.05 for lost in pressure.loads.lost) <= STALLS * ROUNDS
    assert quantile(pressure.loads.api, 0.95) < 0.2
    assert max(pressure.loads.keepalives) < HOLD / 2
