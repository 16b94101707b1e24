"""Link bandwidth as the real FRR and BIRD announce it becomes the weights of the kernel's group.

Over eBGP both take the community that is not transitive away by themselves: raw peers send that one elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, Network, announcement, becomes, node, running
from tests.daemon.test_real_speakers import BIRD, FRR, VIP, Speaker
from tests.support.bgp import Client, end_of_rib
from tests.support.netns import needs_root

pytestmark = needs_root

TAG = """
 neighbor 10.0.0.1 route-map TAG out
"""
ROUTE_MAP = """
route-map TAG permit 10
 set extcommunity bandwidth 1
"""
BIRD_TAG = "export filter { bgp_ext_community.add((generic, 0x0004FDE9, 0x48742400)); accept; };"
"""250,000 octets per second; BIRD takes what is not transitive away."""


@pytest.fixture
def speakers(network: Network, tmp_path: Path) -> Iterator[list[Speaker]]:
    """FRR and BIRD, each with a directory of its own."""
    made: list[Speaker] = []
    for name in ("bgpd", "bird"):
        (tmp_path / name).mkdir()
        made.append(Speaker(network, name, tmp_path / name))
    yield made
    for each in made:
        each.kill()


def _weights(network: Network) -> dict[str, int]:
    """Return the weights of the route's next hops as `ip` shows them."""
    found: dict[str, int] = {}
    for line in network.route(VIP).splitlines():
        words = line.split()
        if "weight" in words:
            found[words[words.index("via") + 1]] = int(words[words.index("weight") + 1])
    return found


async def test_frr_and_bird(network: Network, tmp_path: Path, speakers: list[Speaker], clients: list[Client]) -> None:
    frr, bird = speakers
    text = FRR.format(neighbor="", family=TAG.strip()) + ROUTE_MAP
    with running(network.router, tmp_path, CONFIG) as daemon:
        frr.start(text)
        bird.start(
            BIRD.format(directory=bird.directory, options="")
            .replace(node(0), node(1))
            .replace("export all;", BIRD_TAG)
        )
        await becomes(lambda: _weights(network), {node(0): 1, node(1): 2})
        detail = daemon.get(f"/v1/routes/{VIP}/32")
        said = {path["next_hop"]: path["link_bandwidth"] for path in detail["paths"]}
        assert said == {node(0): 125000.0, node(1): 250000.0}
        assert "Mbit/s" in daemon.cli("route", f"{VIP}/32").stdout
        kernel = [each["weight"] for each in detail["kernel"]["members"]]
        assert kernel == [each["weight"] for each in detail["members"]]

        clients.append(await network.establish(2))
        clients[-1].send(announcement(2, f"{VIP}/32") + end_of_rib())
        await becomes(lambda: _weights(network), {node(0): 1, node(1): 1, node(2): 1})
