"""Time after a restart, of a node or of the router: what bounds what, and when a node has said all."""

from dataclasses import replace

import pytest

from routerd.core.message import (
    Advertise,
    Drain,
    Gateway,
    GracefulRestart,
    Identified,
    KeepPlace,
    NeighbourState,
    Notification,
    SessionDown,
    SpeakerUp,
)
from routerd.core.rib.peer import SILENCE
from routerd.core.rib.peers import FORGET_AFTER
from routerd.core.route import Family, parse_address
from routerd.core.router import Router
from tests.support.core import CONFIG, Simulation, link_layer, preserving

VIP, OTHER, VIP6 = "172.16.1.1/32", "172.16.1.2/32", "fd00:ac10::1/128"
A, B, C = "192.168.10.100", "192.168.10.101", "192.168.10.102"
STALE_TIME = 60
LEARNED = CONFIG.replace('advertise = ["networks"]', 'advertise = ["networks", "learned"]')


def nodes(*names: str, config: str = CONFIG, graceful: GracefulRestart | None = None) -> Simulation:
    """Nodes that announce both VIPs."""
    simulation = Simulation(config)
    for name in names:
        simulation.up(name, graceful=graceful)
        simulation.announce(name, VIP, OTHER)
        simulation.end_of_rib(name)
    simulation.settle()
    simulation.forget()
    return simulation


def ends_of_rib(simulation: Simulation) -> list[str]:
    """Who was told End-of-RIB since the last call of `forget`."""
    return [effect.peer for effect in simulation.effects if isinstance(effect, Advertise) and effect.end_of_rib]


class TestNode:
    def test_the_restart_time_bounds_the_way_back_only(self) -> None:
        """Back after 2 s of 5, it takes its time until it announces (kube-router#753)."""
        simulation = nodes(A, B, graceful=preserving(5))
        simulation.down(A)
        simulation.advance(2)
        simulation.up(A, graceful=preserving(5))
        simulation.advance(STALE_TIME - 1)
        assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}
        simulation.announce(A, VIP)
        simulation.end_of_rib(A)
        simulation.settle()
        assert simulation.fib() == {VIP: [A, B], OTHER: [B]}

    def test_without_an_end_of_rib_the_stale_time_bounds_it(self) -> None:
        simulation = nodes(A, B, graceful=preserving(5))
        simulation.down(A)
        simulation.up(A, graceful=preserving(5))
        simulation.announce(A, VIP)
        simulation.advance(STALE_TIME + 1)
        assert simulation.fib() == {VIP: [A, B], OTHER: [B]}

    @pytest.mark.parametrize("again", [(VIP,), (VIP, OTHER)])
    def test_that_stale_paths_expired_is_told_where_there_were_some(self, again: tuple[str, ...]) -> None:
        simulation = nodes(A, B, graceful=preserving(5))
        simulation.down(A)
        simulation.up(A, graceful=preserving(5))
        simulation.announce(A, *again)
        simulation.advance(STALE_TIME + 1)
        told = [event.fields for event in simulation.events if event.name == "stale paths expired"]
        assert told == ([] if OTHER in again else [{"peer": A, "paths": 1}])

    def test_the_restart_time_passes_whoever_comes_meanwhile(self) -> None:
        simulation = nodes(A, B, graceful=preserving(5))
        simulation.down(A)
        simulation.advance(2)
        simulation.up(C)
        simulation.advance(2.9)
        assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}
        simulation.advance(0.2)
        assert simulation.fib() == {VIP: [B], OTHER: [B]}

    @pytest.mark.parametrize("whose", ["node", "router"])
    def test_what_the_new_session_does_not_carry_is_not_waited_for(self, whose: str) -> None:
        """The node lists IPv6 as preserved, but does not speak it any more: no End-of-RIB will ever come."""
        simulation = nodes(A, graceful=preserving(60))
        host = "fd00:10::" + A.rsplit(".", 1)[1]
        simulation.announce(A, VIP6, attributes=simulation.attributes(A, host))
        simulation.settle()
        assert VIP6 in simulation.fib()
        if whose == "node":
            simulation.down(A)
        else:
            simulation.speaker_dies()
        simulation.up(A, graceful=preserving(60), families=frozenset({Family.IPV4}))
        simulation.settle()
        assert simulation.fib() == {VIP: [A], OTHER: [A]}

    @pytest.mark.parametrize("keeps", [False, True])
    def test_what_is_stale_has_an_end_and_where_nothing_is_there_is_none(self, keeps: bool) -> None:
        simulation = nodes(A, B, graceful=preserving() if keeps else None)
        simulation.down(A)
        simulation.up(A, graceful=preserving() if keeps else None)
        assert (simulation.router.rib.peers[A].deadline is not None) is keeps

    def test_a_pause_ends_what_a_node_without_graceful_restart_says(self) -> None:
        simulation = nodes(A, B)
        simulation.restart()
        for node in (A, B):
            simulation.up(node)
        for _ in range(4):
            simulation.announce(A, VIP)
            simulation.announce(B, VIP)
            simulation.advance(SILENCE - 0.1)
            assert OTHER in simulation.fib()
        simulation.advance(0.2)
        assert simulation.fib() == {VIP: [A, B]}

    def test_a_node_that_says_nothing_has_said_all(self) -> None:
        simulation = nodes(A, B)
        simulation.restart()
        simulation.up(A)
        simulation.up(B)
        simulation.announce(B, VIP)
        simulation.advance(SILENCE + 0.1)
        assert simulation.fib() == {VIP: [B]}

    def test_a_pause_means_nothing_where_graceful_restart_was_negotiated(self) -> None:
        simulation = nodes(A, B, graceful=preserving())
        simulation.restart()
        for node in (A, B):
            simulation.up(node, graceful=preserving())
        simulation.advance(STALE_TIME - 1)
        assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}

    @pytest.mark.parametrize("whose", ["received", "sent"])
    def test_a_pause_means_something_where_one_side_alone_has_graceful_restart(self, whose: str) -> None:
        simulation = nodes(A, B, graceful=preserving())
        simulation.restart()
        for node in (A, B):
            simulation.up(node, graceful=preserving())
            up = simulation.sessions[node]
            opened = replace(getattr(up, whose), graceful_restart=None)
            simulation.sessions[node] = replace(up, generation=up.generation + 10, **{whose: opened})
            simulation.take(simulation.sessions[node])
            simulation.announce(node, VIP)
        simulation.advance(SILENCE + 0.1)
        assert simulation.fib() == {VIP: [A, B]}

    def test_who_returns_with_another_as_is_judged_by_that(self) -> None:
        simulation = nodes(A, B, graceful=preserving())
        said = simulation.attributes(A)
        simulation.down(A)
        simulation.up(A, asn=65002, graceful=preserving())
        simulation.announce(A, VIP, OTHER, attributes=said)  # as before: AS_PATH begins with the old AS
        simulation.end_of_rib(A)
        simulation.settle()
        assert simulation.fib() == {VIP: [B], OTHER: [B]}

    @pytest.mark.parametrize("dynamic", [True, False])
    def test_a_place_is_kept_in_a_range_only(self, dynamic: bool) -> None:
        """A static peer has its own, whatever happens."""
        simulation = Simulation()
        simulation.up(A, graceful=preserving())
        up = simulation.sessions[A]
        simulation.sessions[A] = replace(up, generation=up.generation + 1, dynamic=dynamic)
        simulation.take(simulation.sessions[A])
        simulation.forget()
        simulation.down(A)
        assert [each for each in simulation.effects if isinstance(each, KeepPlace)] == (
            [KeepPlace(A, True)] if dynamic else []
        )

    def test_nothing_is_said_of_a_place_when_a_session_begins(self) -> None:
        """It may have ended when that arrives, and the place is kept for its peer by then."""
        simulation = Simulation()
        simulation.up(A, graceful=preserving())
        again = replace(simulation.sessions[A], generation=7, dynamic=True)
        simulation.down(A)
        simulation.forget()
        simulation.take(again)
        assert not [each for each in simulation.effects if isinstance(each, KeepPlace)]


class TestRouter:
    def test_a_session_that_ends_before_the_kernel_was_read_leaves_nothing(self) -> None:
        simulation = nodes(A, B)
        simulation.router = Router(simulation.config, simulation.now)
        simulation.sessions.clear()
        simulation.take(SpeakerUp())
        simulation.up(A)
        simulation.down(A)
        for _ in range(2):
            simulation.dump()
            simulation.settle()
            assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}, "it may return, as after any restart"
        assert not simulation.router.health.reasons(Gateway(parse_address(A), 2))
        simulation.up(B)
        simulation.announce(B, VIP, OTHER)
        simulation.end_of_rib(B)
        simulation.settle()
        simulation.advance(STALE_TIME + 1)
        assert simulation.fib() == {VIP: [B], OTHER: [B]}
        (left,) = [each.gateway for each in simulation.kernel.nexthops.values()]
        assert left == Gateway(parse_address(B), 2)

    def test_a_node_that_is_back_before_the_kernel_was_read_has_returned(self) -> None:
        simulation = nodes(A, B)
        simulation.router = Router(simulation.config, simulation.now)
        simulation.sessions.clear()
        simulation.take(SpeakerUp())
        simulation.up(A)
        simulation.dump()
        reasons = {address: peer.reason for address, peer in simulation.router.rib.peers.items()}
        assert reasons == {A: "", B: "has not returned since routerd started"}

    def test_a_session_that_carries_no_family_of_ours_holds_up_nobody(self) -> None:
        """It has nothing to announce, and so no End-of-RIB: the others hear theirs, and its old routes go."""
        simulation = nodes(A, B, config=LEARNED)
        simulation.restart()
        simulation.forget()
        simulation.up(A)
        simulation.announce(A, VIP, OTHER)
        simulation.end_of_rib(A)
        simulation.up(B, families=frozenset())
        simulation.settle()
        assert A in ends_of_rib(simulation)
        assert simulation.fib() == {VIP: [A], OTHER: [A]}

    def test_a_connection_that_does_not_become_a_session_is_no_loss_of_a_node(self) -> None:
        """A node that is waited for is not there yet: that its first attempt fails, says nothing of its flows."""
        simulation = nodes(A, B)
        simulation.restart()
        simulation.up(B)
        simulation.announce(B, VIP, OTHER)
        simulation.end_of_rib(B)
        simulation.take(SessionDown(A, 1, "connection lost"))
        simulation.settle()
        assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}

    def test_the_fib_stays_however_long_no_node_can_dial_in(self) -> None:
        simulation = nodes(A, B)
        simulation.speaker_dies()
        simulation.advance(100 * STALE_TIME)
        assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}
        simulation.take(SpeakerUp())
        simulation.advance(STALE_TIME - 1)
        assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}
        simulation.up(A)
        simulation.announce(A, VIP)
        simulation.advance(2)
        assert simulation.fib() == {VIP: [A]}

    def test_the_speaker_dies_again_before_all_nodes_are_back(self) -> None:
        simulation = nodes(A, B)
        for _ in range(5):
            simulation.speaker_dies()
            simulation.take(SpeakerUp())
            simulation.up(A)
            simulation.announce(A, VIP, OTHER)
            simulation.advance(STALE_TIME - 10)
            assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}
        simulation.advance(11)
        assert simulation.fib() == {VIP: [A], OTHER: [A]}

    def test_the_speaker_dies_again_while_nodes_announce(self) -> None:
        """No node is to blame: what they had not come to yet stays, and what is about to go does."""
        simulation = nodes(A, B, graceful=preserving())
        for _ in range(3):
            simulation.speaker_dies()
            simulation.take(SpeakerUp())
            for node in (A, B):
                simulation.up(node, graceful=preserving())
                simulation.announce(node, VIP)
            simulation.settle()
            assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}
        simulation.end_of_rib(A)  # what is stale of A's goes, but not at once
        simulation.speaker_dies()
        simulation.settle()
        assert simulation.fib() == {VIP: [A, B], OTHER: [B]}

    def test_the_speaker_dies_again_before_adopted_nodes_are_back(self) -> None:
        simulation = nodes(A, B, graceful=preserving())
        simulation.restart()
        simulation.advance(1)
        simulation.speaker_dies()
        simulation.advance(100 * STALE_TIME)
        simulation.take(SpeakerUp())
        simulation.advance(STALE_TIME - 1)
        assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}
        simulation.advance(2)
        assert simulation.fib() == {}

    def test_a_node_that_cannot_dial_in_is_not_forgotten(self) -> None:
        simulation = nodes(A)
        simulation.identifies = False
        foreign = simulation.attributes(A, next_hop="fd00:10::100")
        simulation.announce(A, "fd00:ac10::1/128", attributes=foreign)
        simulation.withdraw(A, VIP, OTHER)
        simulation.speaker_dies()
        simulation.now += 2 * FORGET_AFTER
        simulation.dump()
        gateways = [Gateway(parse_address(each), 2) for each in (A, "fd00:10::100")]
        simulation.take(Identified({gateway: link_layer(gateway) for gateway in gateways}))
        assert A in simulation.router.rib.peers

    def test_a_drained_node_is_shown_until_its_drain_ends(self) -> None:
        """A drain outlives the node, and would meet another one with its address: nobody shall have forgotten it."""
        simulation = nodes(A)
        for node in (A, B):  # B was drained before routerd started
            simulation.take(Drain(node, True))
        simulation.down(A, Notification(False, 6, 2))
        simulation.settle()
        simulation.now += 2 * FORGET_AFTER
        simulation.dump()
        assert simulation.router.rib.peers.keys() == {A, B}
        for node in (A, B):
            simulation.take(Drain(node, False))
        simulation.dump()
        assert not simulation.router.rib.peers

    def test_the_speaker_dies_while_a_node_restarts(self) -> None:
        """The node could not have come back meanwhile; then it has its whole Restart Time again, F bits and all."""
        simulation = nodes(A, B, graceful=preserving(5))
        simulation.down(A)
        simulation.advance(3)
        simulation.speaker_dies()
        simulation.advance(30)
        simulation.take(SpeakerUp())
        simulation.advance(4)
        assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}
        simulation.up(A, graceful=GracefulRestart(True, False, 5, dict.fromkeys(Family, False)))
        simulation.settle()
        assert simulation.fib() == {VIP: [B], OTHER: [B]}

    def test_a_silent_node_is_not_waited_for(self) -> None:
        simulation = nodes(A, B, graceful=preserving())
        simulation.restart()
        simulation.take(NeighbourState(Gateway(parse_address(A), 2), alive=False))
        simulation.up(B, graceful=preserving())
        simulation.announce(B, VIP)
        simulation.end_of_rib(B)
        simulation.settle()
        assert simulation.fib() == {VIP: [B]}

    def test_what_waited_for_a_silent_node_alone_proceeds_at_once(self) -> None:
        simulation = nodes(A, B, graceful=preserving())
        simulation.restart()
        simulation.up(B, graceful=preserving())
        simulation.announce(B, VIP)
        simulation.end_of_rib(B)
        simulation.settle()
        assert OTHER in simulation.fib()
        simulation.take(NeighbourState(Gateway(parse_address(A), 2), alive=False))
        assert simulation.fib() == {VIP: [B]}

    def test_nothing_is_swept_while_nobody_can_dial_in(self) -> None:
        simulation = nodes(A, B)
        simulation.restart(listening=False)
        simulation.advance(100 * STALE_TIME)
        assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}
        simulation.take(SpeakerUp())
        simulation.advance(STALE_TIME + 1)
        assert simulation.fib() == {}

    def test_a_node_that_never_says_all_is_waited_for_as_long_as_its_own_group_has_it(self) -> None:
        """Others may have longer."""
        simulation = nodes(A, B, graceful=preserving(), config=f"{CONFIG}[peer_groups.slow]\nstale_time = 300\n")
        simulation.restart()
        for node in (A, B):
            simulation.up(node, graceful=preserving())
            simulation.announce(node, VIP)
        simulation.end_of_rib(A)
        simulation.advance(STALE_TIME - 1)
        assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}
        simulation.advance(2)
        assert simulation.fib() == {VIP: [A, B]}

    def test_nodes_that_have_not_returned_are_shown(self) -> None:
        simulation = nodes(A, B)
        simulation.restart()
        assert {address: peer.reason for address, peer in simulation.router.rib.peers.items()} == dict.fromkeys(
            (A, B), "has not returned since routerd started"
        )

    def test_a_node_that_returned_and_was_lost_for_good_is_not_waited_for(self) -> None:
        """What another node does not announce any more goes then, and not with the time that all have to return."""
        simulation = nodes(A, B)
        simulation.restart()
        simulation.up(B, graceful=preserving())
        simulation.end_of_rib(B)
        simulation.up(A, graceful=preserving(5))
        simulation.announce(A, VIP)
        simulation.down(A)
        simulation.settle()
        assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}
        simulation.advance(6)
        assert simulation.fib() == {}


class TestDeferral:
    """RFC 4724 section 4.1: a restarted router says End-of-RIB once it knows again what it had known."""

    def test_end_of_rib_waits_for_all_nodes(self) -> None:
        simulation = nodes(A, B, C, config=LEARNED, graceful=preserving())
        simulation.restart()
        simulation.forget()
        for node in (A, B):
            simulation.up(node, graceful=preserving())
            simulation.announce(node, VIP, OTHER)
            simulation.end_of_rib(node)
            simulation.settle()
        assert ends_of_rib(simulation) == []
        simulation.up(C, graceful=preserving())
        simulation.announce(C, VIP)
        simulation.settle()
        assert ends_of_rib(simulation) == []
        simulation.end_of_rib(C)
        simulation.settle()
        assert ends_of_rib(simulation) == [A, B, C]
        simulation.up(C, graceful=preserving())
        assert ends_of_rib(simulation) == [A, B, C, C]

    def test_the_speaker_was_killed(self) -> None:
        simulation = nodes(A, B, config=LEARNED, graceful=preserving())
        simulation.speaker_dies()
        simulation.take(SpeakerUp())
        simulation.up(A, graceful=preserving())
        simulation.end_of_rib(A)
        simulation.settle()
        assert ends_of_rib(simulation) == []
        simulation.advance(STALE_TIME + 1)  # B stays away
        assert ends_of_rib(simulation) == [A]

    def test_nodes_that_restart_themselves_are_not_waited_for(self) -> None:
        """They wait for the router's End-of-RIB."""
        restarting = GracefulRestart(True, False, 15, dict.fromkeys(Family, True))
        simulation = nodes(A, B, config=LEARNED, graceful=preserving())
        simulation.restart()
        simulation.forget()
        for node in (A, B):
            simulation.up(node, graceful=restarting)
        simulation.settle()
        assert ends_of_rib(simulation) == [A, B]

    @pytest.mark.parametrize("config", [CONFIG, LEARNED.replace("graceful_restart = true", "")])
    def test_who_hears_no_learned_routes_or_has_no_graceful_restart_does_not_wait(self, config: str) -> None:
        simulation = nodes(A, B, config=config)
        simulation.restart()
        simulation.forget()
        simulation.up(A)
        assert ends_of_rib(simulation) == [A]

    def test_a_first_start_waits_for_nobody(self) -> None:
        assert Simulation(LEARNED).router.timer is None

    def test_a_first_start_defers_nothing(self) -> None:
        simulation = Simulation(LEARNED)
        simulation.up(A, graceful=preserving())
        assert ends_of_rib(simulation) == [A]
