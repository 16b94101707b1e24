"""Faults of what a peer says are counted."""

from __future__ import annotations

import pytest

from routerd.core.message import Fault, Update
from tests.support.core import Simulation

A = "192.168.10.100"


def test_each_update_with_faults_counts_once() -> None:
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, "172.16.1.1/32")
    peer = simulation.router.rib.peers[A]
    assert (peer.faults, peer.last_fault) == (0, "")
    faults = (Fault("attribute-discard", 7, "length 5"), Fault("attribute-discard", 9, "length 3"))
    simulation.take(Update(A, simulation.sessions[A].generation, [], faults=faults))
    assert (peer.faults, peer.last_fault) == (1, "attribute-discard: length 5; attribute-discard: length 3")


@pytest.mark.parametrize("first", [0, 1])
def test_of_several_faults_the_event_names_the_one_that_costs_routes(first: int) -> None:
    simulation = Simulation()
    simulation.up(A)
    faults = [Fault("attribute-discard", 7, "length 5"), Fault("treat-as-withdraw", 1, "value 3")]
    said = (faults[first], faults[1 - first])
    simulation.take(Update(A, simulation.sessions[A].generation, [], faults=said))
    [event] = [event for event in simulation.events if event.name == "malformed update"]
    assert (event.fields["outcome"], event.fields["attribute"]) == ("treat-as-withdraw", 1)
    assert event.fields["faults"] == simulation.router.rib.peers[A].last_fault
