"""Next hops follow what others do with their routes and nexthop objects, as the kernel tells it."""

from __future__ import annotations

import pytest

from routerd.core.message import (
    ForeignRoute,
    Gateway,
    KernelNexthop,
    Leg,
    NexthopChange,
    RouteChange,
    RoutesChanged,
)
from routerd.core.route import parse_address, parse_prefix
from tests.support.core import CONFIG, Simulation

NODE, VIP, WAY = "192.168.10.101", "172.16.1.1/32", parse_prefix("10.5.0.0/16")
STATIC, THEIRS = 4, 77


def nexthop(address: str) -> KernelNexthop:
    return KernelNexthop(THEIRS, STATIC, Gateway(parse_address(address), 2))


@pytest.fixture
def routed() -> Simulation:
    """Return a router with a VIP behind a route of the operator's, which leads to a nexthop object of the
    operator's."""
    simulation = Simulation(CONFIG.replace("[peer_groups.nodes]", '[peer_groups.nodes]\nnext_hop = "any"'))
    simulation.kernel.nexthops[THEIRS] = nexthop("192.168.10.9")
    simulation.kernel.foreign[WAY] = (ForeignRoute(1, STATIC, 0, THEIRS, ()),)
    simulation.restart()
    simulation.up(NODE)
    simulation.announce(NODE, VIP, attributes=simulation.attributes(NODE, "10.5.5.5"))
    simulation.end_of_rib(NODE)
    simulation.settle()
    assert simulation.fib() == {VIP: ["192.168.10.9"]}
    return simulation


def test_a_nexthop_that_leads_elsewhere(routed: Simulation) -> None:
    routed.take(RoutesChanged((NexthopChange(THEIRS, nexthop("192.168.10.8")),)))
    assert routed.fib() == {VIP: ["192.168.10.8"]}


def test_a_longer_route(routed: Simulation) -> None:
    longer = ForeignRoute(1, STATIC, 0, 0, (Leg(parse_address("192.168.10.7"), 2),))
    routed.take(RoutesChanged((RouteChange(parse_prefix("10.5.5.0/24"), longer),)))
    assert routed.fib() == {VIP: ["192.168.10.7"]}


def test_what_bears_the_marks_of_routerd_is_no_way_to_a_next_hop(routed: Simulation) -> None:
    ours = ForeignRoute(1, 186, routed.config.fib.metric, 0, (Leg(parse_address("192.168.10.7"), 2),))
    routed.take(RoutesChanged((RouteChange(parse_prefix("10.5.5.5/32"), ours, own=True),)))
    routed.settle()
    assert routed.fib() == {VIP: ["192.168.10.9"]}
