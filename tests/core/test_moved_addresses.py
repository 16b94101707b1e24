"""Peers hear of another next hop when the router's own address is on another link."""

from __future__ import annotations

from dataclasses import replace

from routerd.core.message import Advertise, KernelObjects
from routerd.core.route import parse_address, parse_prefix
from tests.support.core import CONFIG, Simulation

NODE = "192.168.10.101"


def test_peers_hear_of_another_next_hop_when_an_address_moves_to_another_link() -> None:
    """The router has the same addresses and networks as before, link-local ones apart."""
    simulation = Simulation(CONFIG.replace('10.10.1.0/24"', '10.10.1.0/24", "fd00:99::/64"'))
    simulation.up(NODE)
    simulation.end_of_rib(NODE)
    simulation.settle()
    simulation.forget()
    kernel, own, moving = simulation.kernel, parse_address("fe80::200"), parse_address("fd00:10::200")
    one, other = kernel.interfaces[2], kernel.interfaces[3]
    network = parse_prefix("fd00:10::/64")
    kernel.interfaces[2] = replace(one, addresses=(one.addresses[0], own), networks=one.networks[:1])
    kernel.interfaces[3] = replace(other, addresses=(*other.addresses, moving), networks=(*other.networks, network))
    found = kernel.dump()
    simulation.take(KernelObjects(found.interfaces, found.nexthops, found.groups))
    simulation.settle()
    told = [each for each in simulation.effects if isinstance(each, Advertise)]
    assert {attributes.next_hop for each in told for attributes, _ in each.announced} == {own}
