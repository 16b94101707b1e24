"""The operator's drains: when one looks whether drained members carry flows still."""

from __future__ import annotations

import pytest

from routerd.core.drains import INTERVAL
from routerd.core.message import Drain, InspectGroups
from tests.support.core import CONFIG, Simulation

A, B = "192.168.10.100", "192.168.10.101"
VIP = "172.16.1.1/32"


def narrow(idle_timer: float) -> Simulation:
    """Return a router with two nodes, on a kernel whose weights cannot say that a member wants no bucket."""
    simulation = Simulation(f"{CONFIG}\n[fib]\nidle_timer = {idle_timer}\n", widest=256)
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP)
    simulation.settle()
    simulation.advance(2 * idle_timer)
    simulation.busy_groups = {simulation.group_of(VIP)}
    simulation.forget()
    return simulation


def looks(simulation: Simulation) -> list[InspectGroups]:
    return [effect for effect in simulation.effects if isinstance(effect, InspectGroups)]


@pytest.mark.parametrize(("idle_timer", "interval"), [(120.0, INTERVAL), (20.0, INTERVAL), (8.0, 2.0), (3.0, 1.0)])
def test_one_looks_every_quarter_of_an_idle_timer_and_every_few_seconds_at_least(
    idle_timer: float, interval: float
) -> None:
    simulation = narrow(idle_timer)
    simulation.take(Drain(A, on=True))
    simulation.advance(0)
    assert looks(simulation) == [InspectGroups((simulation.group_of(VIP),))]
    simulation.forget()
    simulation.advance(4 * interval)
    assert len(looks(simulation)) == 4


def test_where_nobody_is_drained_nobody_looks() -> None:
    simulation = narrow(120.0)
    simulation.advance(60.0)
    assert looks(simulation) == []
