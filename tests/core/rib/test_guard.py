"""Addresses of the router and of nodes: whatever `accept` says, nobody takes over the way there."""

from __future__ import annotations

import pytest

from routerd.core.message import ForeignRoute, Leg, RouteChange, RoutesChanged
from routerd.core.rib.guard import Guard
from routerd.core.rib.policy import Reject
from routerd.core.route import LOCAL, parse_address, parse_prefix
from tests.support.core import CONFIG, Simulation

A, B, C = "192.168.10.100", "192.168.10.101", "192.168.10.102"
INSIDE = CONFIG.replace(
    'accept = ["172.16.0.0/12", ', 'accept = ["172.16.0.0/12", "192.168.10.0/24", "fd00:10::/64", '
)
STATIC = f'[[peers]]\nname = "c"\naddress = "{C}"\naddresses = ["fd00:10::102"]\ngroup = "nodes"\n'


def verdicts(simulation: Simulation, peer: str) -> dict[Reject, int]:
    return dict(simulation.router.rib.peers[peer].adj_rib_in.rejections())


@pytest.mark.parametrize(
    ("address", "leads", "barred", "free"),
    [
        (
            "10.0.0.5",
            24,
            ["10.0.0.5/32", "10.0.0.4/31", "10.0.0.0/25", "10.0.0.0/24"],
            ["10.0.0.6/31", "10.0.0.0/23"],
        ),
        ("10.0.0.5", 32, ["10.0.0.5/32"], ["10.0.0.4/31"]),
        ("10.0.0.5", 0, ["10.0.0.5/32", "10.0.0.0/8", "0.0.0.0/1"], ["0.0.0.0/0", "128.0.0.0/1"]),
        ("fd00::5", 64, ["fd00::5/128", "fd00::/64"], ["fd00::6/128", "fd00::/63"]),
    ],
)
def test_what_would_win_against_the_present_way_is_barred(
    address: str, leads: int, barred: list[str], free: list[str]
) -> None:
    guard = Guard(lambda _: leads)
    guard.add([parse_address(address)])
    passed, rejected = guard.split([parse_prefix(text) for text in (*barred, *free)])
    assert passed == [parse_prefix(text) for text in free]
    assert rejected == [(parse_prefix(text), Reject.NODE_ADDRESS) for text in barred]


@pytest.mark.parametrize(
    "prefix",
    ["192.168.10.200/32", f"{B}/32", f"{C}/32", "192.168.10.0/25", f"{A}/32", "192.168.10.0/24"],
)
def test_an_entry_of_accept_does_not_open_addresses_of_the_router_and_of_nodes(prefix: str) -> None:
    simulation = Simulation(INSIDE + STATIC)
    for node in (A, B):
        simulation.up(node)
    simulation.announce(A, prefix, "192.168.10.7/32")
    simulation.settle()
    assert simulation.fib() == {"192.168.10.7/32": [A]}
    assert verdicts(simulation, A) == {Reject.NODE_ADDRESS: 1}


@pytest.mark.parametrize("address", ["fd00:10::102", "fd00:10::101", "fd00:10::200"])
def test_addresses_of_the_other_family_are_guarded_once_known(address: str) -> None:
    simulation = Simulation(INSIDE + STATIC)
    for node in (A, B):
        simulation.up(node)
    by_b = simulation.attributes(B, next_hop="fd00:10::101")
    by_a = simulation.attributes(A, next_hop="fd00:10::100")
    simulation.announce(A, f"{address}/128", attributes=by_a)
    simulation.announce(B, "fd00:ac10::1/128", attributes=by_b)
    simulation.settle()
    assert simulation.fib() == {"fd00:ac10::1/128": ["fd00:10::101"]}
    assert verdicts(simulation, A) == {Reject.NODE_ADDRESS: 1}


def test_a_network_of_the_routers_own_may_hold_its_nodes() -> None:
    network = "192.168.10.96/28"
    simulation = Simulation(INSIDE.replace("10.10.1.0/24", network))
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, network, "172.16.1.1/32")
    simulation.settle()
    assert simulation.fib() == {"172.16.1.1/32": [A, B]}
    paths = simulation.router.rib.loc_rib.paths_of(parse_prefix(network)).paths
    assert [path.peer for path in paths] == [LOCAL]


def test_what_was_announced_before_a_node_came_goes_when_it_comes() -> None:
    simulation = Simulation(INSIDE)
    simulation.up(A)
    simulation.announce(A, f"{B}/32")
    simulation.settle()
    assert simulation.fib() == {f"{B}/32": [A]}
    simulation.up(B)
    simulation.settle()
    assert simulation.fib() == {}
    assert verdicts(simulation, A) == {Reject.NODE_ADDRESS: 1}


@pytest.mark.parametrize("by", ["routes told", "a dump"])
def test_what_is_barred_follows_the_way_to_a_node(by: str) -> None:
    """Somebody's route to the node alone goes and returns: without it the network leads there, and what is longer
    than that would win."""
    simulation, longer = Simulation(INSIDE), "192.168.10.100/30"
    node, way = parse_prefix(f"{A}/32"), ForeignRoute(1, 4, 0, 0, (Leg(None, 2),))
    simulation.kernel.foreign[node] = (way,)
    simulation.dump()
    for peer in (A, "192.168.10.99"):
        simulation.up(peer)
    simulation.announce("192.168.10.99", longer)
    for there in (True, False, True):
        if there:
            simulation.kernel.foreign[node] = (way,)
        else:
            del simulation.kernel.foreign[node]
        if by == "a dump":
            simulation.dump()
        else:
            simulation.take(RoutesChanged((RouteChange(node, way, deleted=not there),)))
        simulation.settle()
        assert simulation.fib() == ({longer: ["192.168.10.99"]} if there else {})
