"""The operator's orders about single peers, in the core: shutdown, enable, clear, and clear --soft."""

from __future__ import annotations

import pytest

from routerd.core.message import (
    Advertise,
    DeleteNexthop,
    Enable,
    KeepPlace,
    Notification,
    Program,
    Refresh,
    SessionDown,
    Shutdown,
    SoftReset,
    SpeakerUp,
)
from routerd.core.rib.peers import FORGET_AFTER
from routerd.core.rib.rejudging import SLICE as REJUDGE_SLICE
from routerd.core.route import Family, format_prefix
from routerd.core.router import Router
from tests.support.core import CONFIG, Simulation, preserving

VIP, OTHER = "172.16.1.1/32", "172.16.1.2/32"
A, B = "192.168.10.100", "192.168.10.101"
SHUT = Shutdown(A, "somebody", 0.0, "why")
RESETS = [Notification(True, 6, 4), Notification(True, 6, 9, bytes([6, 6])), Notification(True, 6, 6)]


@pytest.fixture
def simulation() -> Simulation:
    """Two nodes that announce an address each, and one together; both restart gracefully, with the N bit."""
    return nodes(CONFIG)


def nodes(config: str) -> Simulation:
    simulation = Simulation(config)
    for node in (A, B):
        simulation.up(node, graceful=preserving(notification=True))
        simulation.announce(node, VIP, *([OTHER] if node == A else []))
        simulation.end_of_rib(node)
    simulation.settle()
    simulation.forget()
    return simulation


def test_shutdown_does_not_wait_for_the_speaker(simulation: Simulation) -> None:
    """The nexthop object goes ahead of all else, whatever the session's end will say."""
    up = simulation.sessions[A]
    simulation.take(SHUT)
    first = next(effect for effect in simulation.effects if isinstance(effect, Program))
    assert first.urgent
    assert isinstance(first.operations[0], DeleteNexthop)
    simulation.settle()
    assert simulation.fib() == simulation.rib() == {VIP: [B]}
    assert KeepPlace(A, False) in simulation.effects
    simulation.forget()
    simulation.take(SessionDown(A, up.generation, "closed", Notification(True, 6, 2)))
    simulation.announce(A, OTHER)  # was on its way
    simulation.settle()
    assert simulation.fib() == {VIP: [B]}
    assert KeepPlace(A, True) not in simulation.effects


def test_a_session_that_was_on_its_way_counts_for_nothing(simulation: Simulation) -> None:
    simulation.take(SHUT)
    simulation.up(A)
    simulation.announce(A, VIP, OTHER)
    simulation.settle()
    assert simulation.fib() == {VIP: [B]}
    simulation.down(A)
    simulation.take(Enable(A))
    simulation.up(A)
    simulation.announce(A, OTHER)
    simulation.end_of_rib(A)
    simulation.settle()
    assert simulation.fib() == {VIP: [B], OTHER: [A]}


@pytest.mark.parametrize("away", ["it restarts", "it was reset", "the speaker died"])
def test_shutdown_of_a_node_that_is_away(simulation: Simulation, away: str) -> None:
    if away == "the speaker died":
        simulation.speaker_dies()
    else:
        simulation.down(A, None if away == "it restarts" else RESETS[0])
    simulation.settle()
    assert simulation.fib() == {VIP: [A, B], OTHER: [A]}
    simulation.take(SHUT)
    simulation.settle()
    assert simulation.fib() == {VIP: [B]}
    assert KeepPlace(A, False) in simulation.effects


def test_a_speaker_that_dies_keeps_nothing_of_a_peer_that_is_shut_down(simulation: Simulation) -> None:
    simulation.take(SHUT)
    simulation.speaker_dies()
    simulation.take(SpeakerUp())
    simulation.settle()
    assert simulation.fib() == {VIP: [B]}


@pytest.mark.parametrize("before", [True, False])
def test_after_a_restart_nobody_waits_for_a_peer_that_is_shut_down(simulation: Simulation, before: bool) -> None:
    """Whether the router knows it before it reads the kernel, or learns of it later."""
    simulation.router = Router(simulation.config, simulation.now, widest=simulation.widest)
    if before:
        simulation.take(SHUT)
    simulation.dump()
    simulation.take(SpeakerUp())
    if not before:
        assert simulation.fib() == {VIP: [A, B], OTHER: [A]}
        simulation.take(SHUT)
    simulation.settle()
    assert simulation.fib() == {VIP: [B]}


def test_a_peer_that_is_shut_down_is_shown_and_remembered(simulation: Simulation) -> None:
    stranger = "192.168.10.77"
    simulation.take(Shutdown(stranger, "somebody", 0.0))
    simulation.now += 2 * FORGET_AFTER
    simulation.dump()
    assert stranger in simulation.router.rib.peers
    simulation.take(Enable(stranger))
    simulation.dump()
    assert stranger not in simulation.router.rib.peers


@pytest.mark.parametrize("said", RESETS, ids=["6/4", "6/9 of 6/6", "6/6"])
def test_a_reset_by_the_router_takes_nothing_out(simulation: Simulation, said: Notification) -> None:
    simulation.down(A, said)
    simulation.settle()
    assert simulation.operations == []
    assert simulation.fib() == {VIP: [A, B], OTHER: [A]}
    simulation.up(A)
    simulation.announce(A, VIP)
    simulation.end_of_rib(A)
    simulation.settle()
    assert simulation.fib() == {VIP: [A, B]}


def test_a_reset_by_the_peer_takes_it_out(simulation: Simulation) -> None:
    simulation.down(A, Notification(False, 6, 9, bytes([6, 4])))
    simulation.settle()
    assert simulation.fib() == {VIP: [B]}


def test_soft_in_changes_nothing_that_is_announced_again() -> None:
    """Not even who won the tie: a path that is announced while others wait to be judged is no new one."""
    simulation = nodes(CONFIG.replace("[peer_groups", "[fib]\nmax_paths = 1\n\n[peer_groups", 1))
    simulation.now += 60
    best = simulation.fib()[VIP]
    many = [f"172.17.{number >> 8}.{number & 255}/32" for number in range(REJUDGE_SLICE + 1)]
    simulation.announce(A, *many)
    simulation.settle()
    simulation.forget()
    simulation.take(SoftReset(A, incoming=True))
    assert not any(isinstance(effect, Refresh) for effect in simulation.effects)  # more than a slice is to be judged
    simulation.settle()
    assert [effect for effect in simulation.effects if isinstance(effect, Refresh)] == [
        Refresh(A, (Family.IPV4, Family.IPV6))
    ]
    simulation.announce(A, VIP, OTHER, *many)
    simulation.settle()
    assert simulation.operations == []
    assert simulation.fib()[VIP] == best == [A]


def test_soft_in_without_a_session_is_nothing(simulation: Simulation) -> None:
    simulation.down(A)
    simulation.forget()
    for incoming in (True, False):
        simulation.take(SoftReset(A, incoming=incoming))
        simulation.take(SoftReset("192.168.10.99", incoming=incoming))
    simulation.settle()
    assert not [effect for effect in simulation.effects if isinstance(effect, Refresh | Advertise)]


def test_soft_out_says_what_is_true_by_then() -> None:
    """What is withdrawn meanwhile is not said again: nothing would ever withdraw it."""
    simulation = nodes(CONFIG.replace('["networks"]', '["networks", "learned"]'))
    simulation.take(SoftReset(B, incoming=False))
    simulation.withdraw(A, OTHER)
    simulation.settle()
    told = [effect for effect in simulation.effects if isinstance(effect, Advertise) and effect.peer == B]
    heard: set[str] = set()
    for each in told:
        heard -= set(map(format_prefix, each.withdrawn))
        heard |= {format_prefix(prefix) for _, prefixes in each.announced for prefix in prefixes}
    assert heard == {"10.10.1.0/24", VIP}


def test_the_shutdown_of_an_address_that_no_peer_or_range_holds_shuts_nobody_down(simulation: Simulation) -> None:
    simulation.take(Shutdown("10.9.9.9", "somebody", 0.0))
    simulation.settle()
    assert simulation.operations == []
    assert "10.9.9.9" not in simulation.router.rib.peers


def test_what_a_node_does_not_say_again_after_a_reset_goes_in_time_though_it_never_pauses() -> None:
    """It sends no End-of-RIB, for it has no graceful restart."""
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, VIP, OTHER)
    simulation.settle()
    simulation.down(A, RESETS[0])
    simulation.up(A)
    for _ in range(59):
        simulation.announce(A, VIP)
        simulation.advance(1)
    assert simulation.fib() == {VIP: [A], OTHER: [A]}
    for _ in range(2):
        simulation.announce(A, VIP)
        simulation.advance(1)
    assert simulation.fib() == {VIP: [A]}
