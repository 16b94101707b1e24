"""Faults of what a peer says are counted."""

from __future__ import annotations

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
