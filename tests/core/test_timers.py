"""When the router wants to be woken: for whatever is due first."""

from __future__ import annotations

import pytest

from routerd.core.message import RouteRefresh, Settle
from routerd.core.rib.peer import SILENCE
from routerd.core.rib.refreshes import INTERVAL
from routerd.core.route import Family
from tests.support.core import Simulation, preserving

A, B = "192.168.10.100", "192.168.10.101"


@pytest.mark.parametrize("restart_time", [1, 15])
def test_a_node_that_restarts_and_one_that_introduces_itself(restart_time: int) -> None:
    simulation = Simulation()
    simulation.up(A, graceful=preserving(restart_time))
    simulation.end_of_rib(A)
    simulation.down(A)
    simulation.up(B)
    assert simulation.router.timer == simulation.now + min(restart_time, SILENCE)


@pytest.mark.parametrize("restart_time", [0, 15])
def test_a_node_that_restarts_and_one_that_asks_to_hear_all_again(restart_time: int) -> None:
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node, graceful=preserving(restart_time))
        simulation.end_of_rib(node)
    for _ in range(2):
        simulation.take(RouteRefresh(B, simulation.sessions[B].generation, Family.IPV4))
        simulation.settle()
    simulation.down(A)
    assert simulation.router.timer == simulation.now + min(restart_time, INTERVAL)


def test_what_is_due_waits_for_who_looks_at_the_clock() -> None:
    """The end of a batch says that it does not: what was said last is in the kernel first."""
    simulation = Simulation()
    simulation.up(A, graceful=preserving(15))
    simulation.announce(A, "172.16.0.1/32")
    simulation.end_of_rib(A)
    simulation.settle()
    simulation.down(A)
    simulation.now += 16
    simulation.take(Settle(due=False))
    assert simulation.fib() == {"172.16.0.1/32": [A]}
    assert simulation.router.timer is not None
    assert simulation.router.timer <= simulation.now
    simulation.take(Settle())
    assert simulation.fib() == {}
