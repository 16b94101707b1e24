"""Decision step 8: the best path stays, and a flap does not hand an old place back (RFC 5004)."""

from __future__ import annotations

from routerd.core.message import GracefulRestart
from routerd.core.route import parse_prefix
from tests.support.core import Simulation, preserving

A, B = "192.168.10.100", "192.168.10.101"
VIP, OTHER = "172.16.1.1/32", "172.16.1.2/32"


def best(simulation: Simulation, prefix: str = VIP) -> str:
    rib = simulation.router.rib.loc_rib
    path = rib.decision(rib.paths_of(parse_prefix(prefix))).best
    assert path is not None
    return path.peer


def both(graceful: GracefulRestart | None = None) -> Simulation:
    """A announces two VIPs, and a second later so does B."""
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node, graceful=graceful)
        simulation.announce(node, VIP, OTHER)
        simulation.end_of_rib(node)
        simulation.advance(1)
    assert (best(simulation), best(simulation, OTHER)) == (A, A)
    return simulation


def test_a_prefix_that_was_withdrawn_is_new_though_others_of_the_same_attributes_stayed() -> None:
    simulation = both()
    simulation.withdraw(A, VIP)
    simulation.announce(A, VIP)
    assert (best(simulation), best(simulation, OTHER)) == (B, A)


def test_a_peer_that_was_gone_is_new() -> None:
    simulation = both()
    simulation.down(A)
    simulation.advance(1)
    simulation.up(A)
    simulation.announce(A, VIP, OTHER)
    simulation.settle()
    assert (best(simulation), best(simulation, OTHER)) == (B, B)
    simulation.withdraw(B, VIP)
    simulation.announce(B, VIP)
    assert best(simulation) == A


def test_graceful_restart_keeps_the_place_of_what_is_announced_as_before() -> None:
    simulation = both(preserving())
    simulation.down(A)
    simulation.advance(1)
    simulation.up(A, graceful=preserving())
    simulation.announce(A, VIP)
    simulation.end_of_rib(A)
    simulation.settle()
    assert (best(simulation), best(simulation, OTHER)) == (A, B)


def test_after_a_restart_of_the_router_only_what_nodes_say_at_once_is_as_old_as_it() -> None:
    """What they withdraw later, and announce again, is new."""
    simulation = both()
    simulation.restart()
    restarted = simulation.now
    for node in (B, A):
        simulation.advance(1)
        simulation.up(node)
        simulation.announce(node, VIP)
        simulation.end_of_rib(node)
    simulation.settle()
    rib = simulation.router.rib.loc_rib

    def ages() -> dict[str, float]:
        return {path.peer: path.since for path in rib.paths_of(parse_prefix(VIP)).paths}

    assert ages() == {A: restarted, B: restarted}
    simulation.withdraw(B, VIP)
    simulation.announce(B, VIP)
    assert ages() == {A: restarted, B: simulation.now}
    simulation.down(A)
    simulation.advance(1)
    simulation.up(A)
    simulation.announce(A, VIP)
    assert ages() == {A: simulation.now, B: simulation.now - 1}, "a session of its own, in which it has not ended yet"
