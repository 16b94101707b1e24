"""More nodes than `max_paths`: those that have a place keep it, for flows go there."""

from __future__ import annotations

import pytest

from routerd.core.message import SpeakerUp
from tests.support.core import CONFIG, Simulation, preserving

VIP, OTHER_VIP = "172.16.1.1/32", "172.16.1.2/32"
A, B, C, D = "192.168.10.100", "192.168.10.101", "192.168.10.102", "192.168.10.103"
GRACEFUL_SHUTDOWN, OTHER = 0xFFFF0000, 65000 << 16


def nodes(*names: str) -> Simulation:
    """Two places, and nodes that come one after the other."""
    simulation = Simulation(f"{CONFIG}\n[fib]\nmax_paths = 2\n")
    for name in names:
        come(simulation, name)
        simulation.advance(1)
    return simulation


def come(simulation: Simulation, name: str) -> None:
    simulation.up(name, graceful=preserving(60))
    simulation.announce(name, VIP)
    simulation.end_of_rib(name)
    simulation.settle()


@pytest.mark.parametrize("community", [GRACEFUL_SHUTDOWN, OTHER])
def test_who_says_more_of_an_address_keeps_its_place(community: int) -> None:
    simulation = nodes(C, B, A)
    assert simulation.fib() == {VIP: [B, C]}
    said = simulation.attributes(B)._replace(communities=(community,))
    simulation.announce(B, VIP, attributes=said)
    simulation.advance(1)
    assert simulation.fib() == {VIP: [B, C]}


def test_a_node_that_is_older_by_other_addresses_takes_no_place() -> None:
    simulation = nodes(C, B)
    simulation.up(A)
    simulation.announce(A, OTHER_VIP)
    simulation.advance(1)
    simulation.up(D)
    for name in (D, B):
        simulation.announce(name, OTHER_VIP)
        simulation.advance(1)
    assert simulation.fib() == {VIP: [B, C], OTHER_VIP: [A, D]}
    simulation.announce(A, VIP)
    simulation.announce(C, OTHER_VIP)
    simulation.advance(1)
    assert simulation.fib() == {VIP: [B, C], OTHER_VIP: [A, D]}
    simulation.down(D)
    simulation.advance(1)
    assert simulation.fib() == {VIP: [B, C], OTHER_VIP: [A, C]}


def test_who_leaves_makes_room_and_gets_no_place_back() -> None:
    simulation = nodes(C, B, A)
    simulation.withdraw(B, VIP)
    simulation.announce(B, VIP)
    simulation.advance(1)
    assert simulation.fib() == {VIP: [A, C]}


def test_all_keep_their_place_when_the_speaker_dies() -> None:
    simulation = nodes(C, B, A)
    simulation.speaker_dies()
    simulation.take(SpeakerUp())
    for name in (A, B, C):
        come(simulation, name)
        simulation.advance(1)
    assert simulation.fib() == {VIP: [B, C]}


def test_all_keep_their_place_when_routerd_restarts() -> None:
    simulation = nodes(C, B, A)
    simulation.restart()
    simulation.advance(1)
    for name in (A, B, C):
        come(simulation, name)
        simulation.advance(1)
    simulation.advance(100)
    assert simulation.fib() == {VIP: [B, C]}
