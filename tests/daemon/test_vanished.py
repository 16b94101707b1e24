"""Nodes of a range that go with their link, or all at once: `status` must not say that all is well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, Network, Routerd, announcement, becomes, node, running
from tests.support import bgp
from tests.support.netns import needs_root

pytestmark = needs_root

VIP = "172.16.1.1"
RANGE = "range 10.0.0.64/26"
SHORT = CONFIG.replace("[peer_groups.nodes]", "[peer_groups.nodes]\nhold_time = 3")


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Routerd]:
    with running(network.router, tmp_path, SHORT) as made:
        yield made


async def serve(network: Network, clients: list[bgp.Client], *numbers: int) -> None:
    for number in numbers:
        clients.append(await network.establish(number))
        clients[-1].send(announcement(number, f"{VIP}/32"))
    await network.has(VIP, *numbers)


@pytest.mark.parametrize("where", ["carrier", "router"])
async def test_nodes_that_go_with_their_link_are_a_problem_while_it_is_down_and_until_they_return(
    daemon: Routerd, network: Network, clients: list[bgp.Client], where: str
) -> None:
    await serve(network, clients, 0, 1)
    assert daemon.problems() == {}
    side = network.router if where == "router" else network.nodes
    side.ip("link", "set", "eth0", "down")
    told = f"it is down, and 2 nodes ({node(0)}, {node(1)}) are behind it"
    await becomes(lambda: daemon.problems().get("interface eth0"), told)
    await becomes(lambda: [peer["state"] for peer in daemon.get("/v1/peers")], ["waiting"] * 2)
    assert all(peer["reason"].endswith("; interface eth0 had gone down") for peer in daemon.get("/v1/peers"))
    found = daemon.problems()
    assert found["interface eth0"] == told
    assert found[RANGE].startswith(f"no node is left there: 2 nodes ({node(0)}, {node(1)}) had sessions, the last ")
    side.ip("link", "set", "eth0", "up")
    told = f"it was down, and 2 nodes ({node(0)}, {node(1)}) have not returned since"
    await becomes(lambda: daemon.problems().get("interface eth0"), told)
    await serve(network, clients, 0)
    told = f"it was down, and 1 nodes ({node(1)}) have not returned since"
    await becomes(lambda: daemon.problems().get("interface eth0"), told)
    assert RANGE not in daemon.problems()
    clients.append(await network.establish(1))
    await becomes(lambda: daemon.problems().get("interface eth0"), None)


async def test_a_link_that_is_back_in_time_is_no_problem(
    daemon: Routerd, network: Network, clients: list[bgp.Client]
) -> None:
    await serve(network, clients, 0)
    network.nodes.ip("link", "set", "eth0", "down")
    await becomes(lambda: "interface eth0" in daemon.problems())
    network.nodes.ip("link", "set", "eth0", "up")
    await becomes(daemon.problems, {})


async def test_a_link_that_comes_back_under_another_name_is_no_problem(
    daemon: Routerd, network: Network, clients: list[bgp.Client]
) -> None:
    await serve(network, clients, 0)
    network.router.ip("link", "set", "eth0", "down")
    await becomes(lambda: "interface eth0" in daemon.problems())
    network.router.ip("link", "set", "eth0", "name", "wan")
    network.router.ip("link", "set", "wan", "up")
    await network.has(VIP, 0)
    await becomes(lambda: daemon.problems().get("interface eth0"), None)
    assert daemon.peer(0)["sessions"] == 1


async def test_a_range_that_all_nodes_have_left_is_a_problem(
    daemon: Routerd, network: Network, clients: list[bgp.Client]
) -> None:
    await serve(network, clients, 0, 1)
    await clients.pop().close()
    await becomes(lambda: network.legs(VIP), {node(0)})
    await becomes(daemon.problems, {})  # once its paths are purged, too
    await clients.pop().close()
    await becomes(lambda: "closed by the peer" in daemon.problems().get(RANGE, ""))
    await serve(network, clients, 0)
    await becomes(daemon.problems, {})
