"""A gateway that is on the link only because a route says so stays in use while other ways change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from routerd.core.message import (
    DeleteNexthop,
    ForeignRoute,
    KernelObjects,
    Leg,
    Notification,
    RouteChange,
    RoutesChanged,
)
from routerd.core.route import Prefix, format_prefix, parse_address, parse_prefix
from tests.support.core import CONFIG, Simulation

OTHER = "192.168.10.102"
NODE, GATEWAY, VIP = "192.168.10.101", "10.99.0.1", "172.16.1.1/32"
BY_SAY_SO = ForeignRoute(1, 4, 0, 0, (Leg(parse_address(GATEWAY), 2, onlink=True),))


@pytest.fixture
def routed() -> Simulation:
    """Return a router with a VIP behind such a gateway."""
    simulation = Simulation(CONFIG.replace("[peer_groups.nodes]", '[peer_groups.nodes]\nnext_hop = "any"'))
    simulation.kernel.foreign[parse_prefix("10.5.0.0/16")] = (BY_SAY_SO,)
    simulation.restart()
    simulation.up(NODE)
    simulation.announce(NODE, VIP, attributes=simulation.attributes(NODE, "10.5.5.5"))
    simulation.end_of_rib(NODE)
    simulation.settle()
    assert simulation.fib() == {VIP: [GATEWAY]}
    simulation.forget()
    return simulation


def read(simulation: Simulation) -> None:
    """The kernel is read after a notification."""
    found = simulation.kernel.dump()
    simulation.take(KernelObjects(found.interfaces, found.nexthops, found.groups))


def flap(simulation: Simulation, times: int) -> Iterator[None]:
    """An unrelated link goes down and up; the kernel is read each time."""
    for number in range(times):
        simulation.kernel.interfaces[3] = replace(simulation.kernel.interfaces[3], up=bool(number % 2))
        read(simulation)
        yield


@pytest.mark.parametrize("times", [1, 2, 5])
def test_another_link_does_not_matter(routed: Simulation, times: int) -> None:
    for _ in flap(routed, times):
        assert not routed.operations_of(DeleteNexthop)
        assert routed.fib() == {VIP: [GATEWAY]}


def test_a_link_matters_no_more_before_the_path_set_is_decided_anew(
    routed: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are so many path sets that links change again meanwhile."""
    monkeypatch.setattr(routed.router.planning, "reconsider", lambda: None)
    for _ in flap(routed, 5):
        assert routed.fib() == {VIP: [GATEWAY]}
    assert not routed.operations_of(DeleteNexthop)


def test_another_route_does_not_matter(routed: Simulation) -> None:
    other = BY_SAY_SO._replace(legs=(Leg(parse_address("192.168.10.9"), 2),))
    routed.take(RoutesChanged((RouteChange(parse_prefix("192.168.10.101/32"), other),)))
    assert not routed.operations_of(DeleteNexthop)
    assert routed.fib() == {VIP: [GATEWAY]}


def test_without_its_route_the_gateway_is_out_of_reach(routed: Simulation) -> None:
    routed.kernel.foreign.clear()
    routed.take(RoutesChanged((RouteChange(parse_prefix("10.5.0.0/16"), BY_SAY_SO, deleted=True),)))
    routed.settle()
    assert routed.fib() == {}
    assert not routed.router.rib.nexthops.onlink


@pytest.mark.parametrize("flaps", [0, 1, 3])
@pytest.mark.parametrize("purging", [False, True])
def test_a_route_that_goes_and_returns_before_the_path_set_is_decided_anew(
    routed: Simulation, monkeypatch: pytest.MonkeyPatch, flaps: int, *, purging: bool
) -> None:
    """The gateway is out meanwhile, and back with the route, whatever else goes on: nobody has to read the kernel for
    that."""
    if purging:
        routed.up(OTHER)
        wide = [format_prefix(Prefix(bytes([32, 172, 20, i >> 8, i & 255]))) for i in range(20_000)]
        routed.announce(OTHER, *wide)
        routed.settle()
        routed.down(OTHER, Notification(True, 6, 3))
        routed.forget()
    monkeypatch.setattr(routed.router.planning, "reconsider", lambda: None)
    prefix = parse_prefix("10.5.0.0/16")
    routed.kernel.foreign.clear()
    routed.take(RoutesChanged((RouteChange(prefix, BY_SAY_SO, deleted=True),)))
    assert routed.operations_of(DeleteNexthop)
    for _ in flap(routed, flaps):
        assert routed.router.rib.reconsideration
    assert bool(routed.router.rib.lifecycle.purges) == purging
    routed.kernel.foreign[prefix] = (BY_SAY_SO,)
    routed.take(RoutesChanged((RouteChange(prefix, BY_SAY_SO),)))
    routed.settle()
    assert routed.fib() == {VIP: [GATEWAY]}


def test_its_route_goes_before_the_path_set_is_decided_anew(
    routed: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in use is followed even while it has yet to be asked for again after another change."""
    monkeypatch.setattr(routed.router.planning, "reconsider", lambda: None)
    other = BY_SAY_SO._replace(legs=(Leg(parse_address("192.168.10.9"), 2),))
    routed.take(RoutesChanged((RouteChange(parse_prefix(f"{NODE}/32"), other),)))
    routed.take(RoutesChanged((RouteChange(parse_prefix("10.5.0.0/16"), BY_SAY_SO, deleted=True),)))
    assert routed.fib() == {}
