"""A node that loads a great many prefixes holds up nothing that is urgent."""

from __future__ import annotations

import statistics
from pathlib import Path

from tests.failover.pressure import pressed
from tests.support.netns import needs_root

pytestmark = needs_root

PREFIXES = 100_000


async def test_a_load_holds_up_nothing_urgent(tmp_path: Path) -> None:
    async with pressed(tmp_path, 20) as site:
        pressure = await site.load(PREFIXES, rounds=3)
        print(f"\n{pressure}")
        assert [agent.losses for agent in site.nodes] == [0] * len(site.nodes)
    loads = pressure.loads
    assert len(loads.lost) >= 5
    assert statistics.median(loads.lost) < 0.05
    assert statistics.median(loads.api) < 0.4  # half of that beside another run of all tests
    assert max(loads.lost + loads.api) < 2.0
