"""A range inside the nodes' network may hold VIPs, and never an address of the router or of a node."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, Network, announcement, becomes, node, node6, running
from tests.support.bgp import Client
from tests.support.netns import needs_root

pytestmark = needs_root


@pytest.mark.parametrize(
    ("vip", "taken"),
    [
        ("10.0.0.200/32", ["10.0.0.1/32", f"{node(1)}/32", f"{node(1)}/31", "10.0.0.64/26"]),
        ("fd00::200/128", ["fd00::1/128", f"{node6(1)}/128", "fd00::100/120"]),
    ],
)
async def test_traffic_for_the_router_and_for_nodes_stays_its_own(
    network: Network, tmp_path: Path, clients: list[Client], vip: str, taken: list[str]
) -> None:
    config = CONFIG.replace('"172.16.0.0/12"', '"10.0.0.0/24", "fd00::/64", "203.0.113.0/24", "172.16.0.0/12"')
    with running(network.router, tmp_path, config) as daemon:
        for number in (0, 1):
            clients.append(await network.establish(number))
        clients[1].send(announcement(1, "fd00:ac10::1/128"))
        await network.has("fd00:ac10::1", 1)
        clients[0].send(announcement(0, vip, *taken))
        clients[0].send(announcement(0, "203.0.113.7/32"))
        await network.has("203.0.113.7", 0)
        await network.has(vip.partition("/")[0], 0)
        await becomes(lambda: daemon.count(0, "rejected"), len(taken))
        assert all(reason.startswith("11 ") for reason in daemon.peer(0)["rejected_by_reason"])
        for prefix in taken:
            assert network.legs(prefix) == set()
