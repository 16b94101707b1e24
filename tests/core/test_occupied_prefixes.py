"""A route of somebody else's that stands where routerd's would: told once, and written when it goes."""

from __future__ import annotations

import pytest

from routerd.core.message import ForeignRoute, Leg, RouteChange, RoutesChanged, SetRoutes
from routerd.core.route import parse_address, parse_prefix
from tests.support.core import Simulation

NODE, VIP = "192.168.10.101", "172.16.1.1/32"


@pytest.fixture
def occupied() -> tuple[Simulation, ForeignRoute]:
    """Return a router that was refused a route, for there is one of the same metric."""
    simulation = Simulation()
    theirs = ForeignRoute(1, 4, simulation.config.fib.metric, 0, (Leg(parse_address("192.168.10.9"), 2),))
    simulation.kernel.foreign[parse_prefix(VIP)] = (theirs,)
    simulation.restart()
    simulation.up(NODE)
    simulation.announce(NODE, VIP)
    simulation.settle()
    assert parse_prefix(VIP) in simulation.router.fib.refused
    simulation.forget()
    return simulation, theirs


def test_it_is_not_tried_again_for_a_change_that_leaves_the_other_route(
    occupied: tuple[Simulation, ForeignRoute],
) -> None:
    simulation, theirs = occupied
    for gateway in ("192.168.10.8", "192.168.10.7"):
        other = theirs._replace(legs=(Leg(parse_address(gateway), 2),))
        simulation.take(RoutesChanged((RouteChange(parse_prefix(VIP), other, replaces=True),)))
    assert not simulation.operations_of(SetRoutes)
    assert not simulation.events


def test_it_is_written_as_soon_as_the_other_route_goes(occupied: tuple[Simulation, ForeignRoute]) -> None:
    simulation, theirs = occupied
    simulation.kernel.foreign.clear()
    simulation.take(RoutesChanged((RouteChange(parse_prefix(VIP), theirs, deleted=True),)))
    assert simulation.fib() == {VIP: [NODE]}
    assert not simulation.router.fib.refused
