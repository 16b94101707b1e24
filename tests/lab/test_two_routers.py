"""Two routers of a lab: the gateway moves between them, and open connections notice what they are to notice."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from routerd.lab.connections import Connections
from routerd.lab.gateway import hand_over
from routerd.lab.network import Fabric, built
from routerd.lab.topology import PAIR, doubled
from routerd.lab.traffic import serve

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

COUNT = 20


@pytest.fixture(scope="module")
def fabric(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fabric]:
    logs = tmp_path_factory.mktemp("logs")
    with built(doubled()) as made:
        webs = [serve(node, logs / name) for name, node in made.nodes.items()]
        yield made
        for web in webs:
            web.kill()


def _lead(fabric: Fabric, router: str, to: int) -> None:
    """Have a router lead both VIPs to one of the nodes."""
    node = fabric.topology.nodes[to]
    for vip, gateway in zip(fabric.topology.vips, (node.ipv4, node.ipv6), strict=True):
        fabric.routers[router].ip(f"route replace {vip} via {gateway}")


@pytest.mark.parametrize("vip", doubled().vips)
def test_the_gateway_moves_and_connections_go_with_it(fabric: Fabric, vip: str) -> None:
    a, b = (router.name for router in PAIR)
    first, second = (node.name for node in fabric.topology.nodes[:2])
    for name in (a, b):
        _lead(fabric, name, 0)
    hand_over(fabric, a)
    held = Connections(fabric.client, vip, COUNT)
    try:
        assert held.look()["alive"] == {first: COUNT}
        for cable in fabric.topology.cables(PAIR[0]):
            fabric.unplug(cable)
        hand_over(fabric, b)
        assert held.look()["alive"] == {first: COUNT}
        for cable in fabric.topology.cables(PAIR[0]):
            fabric.plug(cable)
        _lead(fabric, a, 1)
        hand_over(fabric, a)
        found = held.look()
        assert found["broken"] == {first: COUNT}
        assert found["errors"]
        fresh = Connections(fabric.client, vip, 1)
        assert fresh.look()["alive"] == {second: 1}
        fresh.close()
    finally:
        held.close()


def test_a_node_speaks_with_both_routers_and_stands_in_one_network() -> None:
    topology = doubled()
    assert [router.host for router in topology.routers] == [201, 202]
    ports = [cable.port for router in topology.routers for cable in topology.cables(router)]
    assert len(ports) == len(set(ports)) == 8
    assert topology.between not in topology.networks
    assert all(len(port) <= 15 for port in ports)
