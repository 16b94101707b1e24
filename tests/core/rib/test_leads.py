"""Who leads to a gateway, while others do and once they are gone."""

from __future__ import annotations

from routerd.core.message import Gateway
from routerd.core.route import parse_address
from tests.support.core import CONFIG, Simulation, preserving

A, B = "192.168.10.100", "192.168.10.101"
SHARED = "192.168.10.150"
GATEWAY = Gateway(parse_address(SHARED), 2)
VIP = "172.16.1.1/32"


def shared() -> Simulation:
    """Return a router with two nodes whose paths lead to the same gateway."""
    simulation = Simulation(CONFIG.replace("[peer_groups.nodes]", '[peer_groups.nodes]\nnext_hop = "any"'))
    for node in (A, B):
        simulation.up(node, graceful=preserving())
        simulation.announce(node, VIP, attributes=simulation.attributes(node, SHARED))
    simulation.settle()
    return simulation


def leading(simulation: Simulation) -> set[str]:
    return {peer.address for peer in simulation.router.rib.leads.peers(GATEWAY)}


def test_who_is_left_leads_to_a_gateway_still() -> None:
    simulation = shared()
    leads = simulation.router.rib.leads
    assert leading(simulation) == {A, B}
    simulation.withdraw(A, VIP)
    assert leading(simulation) == {B}
    assert leads.speaking([GATEWAY]) == leads.present([GATEWAY]) == [GATEWAY]
    assert leads.names(GATEWAY.address)
    simulation.withdraw(B, VIP)
    assert leading(simulation) == set()
    assert leads.speaking([GATEWAY]) == leads.present([GATEWAY]) == []
    assert not leads.names(GATEWAY.address)


def test_a_node_that_restarts_is_present_and_does_not_speak() -> None:
    simulation = shared()
    leads = simulation.router.rib.leads
    simulation.down(A)
    assert leads.speaking([GATEWAY]) == [GATEWAY], "the other one speaks"
    simulation.down(B)
    assert leading(simulation) == {A, B}
    assert leads.speaking([GATEWAY]) == []
    assert leads.present([GATEWAY]) == [GATEWAY]
    simulation.advance(60.0)
    assert leading(simulation) == set()
    assert leads.present([GATEWAY]) == []
