"""The router's own addresses change: peers hear of another next hop, and there may be thousands on one link."""

from __future__ import annotations

import time
from dataclasses import replace

from routerd.api.views.problems.conflicts import conflicts
from routerd.core.message import Advertise, Interface, KernelObjects
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


def test_thousands_of_addresses_on_one_link_are_taken_in_by_and_by() -> None:
    """kube-proxy in IPVS mode gives the host each address of a Service."""
    simulation = Simulation()
    simulation.up(NODE)
    own = [f"172.16.{number >> 8}.{number & 255}" for number in range(4000)]
    taken = [f"{address}/32" for address in own[:8]]
    simulation.announce(NODE, *taken)
    simulation.settle()
    assert len(simulation.fib()) == len(taken)
    networks = tuple(parse_prefix(f"{address}/32") for address in own)
    kernel = simulation.kernel
    begun = time.process_time()
    for up in (True, False):
        kernel.interfaces[9] = Interface(9, "kube-ipvs0", up, tuple(map(parse_address, own)), networks)
        found = kernel.dump()
        simulation.take(KernelObjects(found.interfaces, found.nexthops, found.groups))
        simulation.settle()
    assert time.process_time() - begun < 2.0  # a minute if each is compared with all
    assert simulation.fib() == {}
    told = [problem["where"] for problem in conflicts(simulation.router)]
    assert told == [*(f"route {each}" for each in taken[:5]), "fib"]
