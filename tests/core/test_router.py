"""The core on a kernel in memory: what nodes do, and what the FIB makes of it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from routerd.core.fib.placement import BULK
from routerd.core.message import (
    Advertise,
    CloseSession,
    DeleteNexthop,
    Drain,
    Event,
    Gateway,
    KernelNexthop,
    NeighbourState,
    Notification,
    RouteRefresh,
    SessionDown,
    SessionUp,
    SetGroup,
    SetRoutes,
    Settle,
    SpeakerDown,
    Update,
)
from routerd.core.planning import BURST_PAUSE, INTRODUCTION_PAUSE, MOVE_PATIENCE
from routerd.core.rib.refreshes import INTERVAL
from routerd.core.route import Family, format_prefix, parse_address, parse_prefix
from tests.support.core import CONFIG, LINKS, Simulation, opened, preserving, sequence

A, B, C, D = "192.168.10.100", "192.168.10.101", "192.168.20.100", "192.168.10.102"
VIP = "172.16.1.1/32"


def three_nodes(*prefixes: str) -> Simulation:
    simulation = Simulation()
    for node in (A, B, C):
        simulation.up(node)
        simulation.announce(node, *(prefixes or (VIP,)))
    simulation.settle()
    simulation.forget()
    return simulation


TABLE = [f"172.17.{i // 250}.{i % 250}/32" for i in range(BULK)]
"""So many that, with one more, they share a group."""


def nodes_alone(node: str) -> Simulation:
    simulation = Simulation()
    simulation.up(node)
    simulation.announce(node, VIP)
    simulation.settle()
    return simulation


class TestFib:
    def test_a_prefix_has_a_group_of_its_own(self) -> None:
        simulation = three_nodes(VIP, "172.16.1.2/32")
        assert simulation.fib() == {VIP: [A, B, C], "172.16.1.2/32": [A, B, C]}
        assert simulation.group_of(VIP) != simulation.group_of("172.16.1.2/32")
        assert len(simulation.kernel.groups) == 2
        assert len(simulation.kernel.nexthops) == 3

    def test_a_single_path_points_at_a_group_of_one(self) -> None:
        simulation = Simulation()
        simulation.up(A)
        simulation.announce(A, VIP)
        simulation.settle()
        assert simulation.group_of(VIP) in simulation.kernel.groups

    def test_nothing_is_written_before_the_first_dump(self) -> None:
        simulation = Simulation()
        simulation.router.planning.synchronised = False
        simulation.up(A)
        simulation.announce(A, VIP)
        simulation.settle()
        assert simulation.kernel.writes == []
        simulation.dump()
        assert simulation.fib() == {VIP: [A]}

    @pytest.mark.parametrize("count", [50, BULK + 1])
    def test_prefixes_that_gain_a_member_keep_their_ids_and_no_route_is_written(self, count: int) -> None:
        vips = [f"172.16.{i // 250}.{i % 250}/32" for i in range(count)]
        simulation = Simulation()
        for node in (A, B):
            simulation.up(node)
            simulation.announce(node, *vips)
            simulation.settle()
        simulation.advance(MOVE_PATIENCE)
        groups = [simulation.group_of(vip) for vip in vips]
        assert len(set(groups)) == (count if count <= BULK else 1)
        simulation.advance(300)
        simulation.forget()
        simulation.up(C)
        simulation.announce(C, *vips[:20])
        simulation.take(Settle(quiet=False))  # more input waits
        simulation.announce(C, *vips[20:])
        simulation.settle()
        assert simulation.fib() == {vip: [A, B, C] for vip in vips}
        assert [simulation.group_of(vip) for vip in vips] == groups
        assert simulation.operations_of(SetRoutes) == []
        assert len(simulation.operations_of(SetGroup)) == len(set(groups))

    def test_of_a_shared_group_a_part_that_changes_moves_and_the_rest_stays(self) -> None:
        simulation = three_nodes(VIP, *TABLE)
        group = simulation.group_of(VIP)
        simulation.withdraw(C, VIP)
        simulation.settle()
        assert simulation.fib() == {VIP: [A, B], **{each: [A, B, C] for each in TABLE}}
        assert {simulation.group_of(each) for each in TABLE} == {group}
        assert simulation.operations_of(SetRoutes) == [SetRoutes(simulation.group_of(VIP), (parse_prefix(VIP),))]

    @pytest.mark.parametrize("flows", [True, False])
    def test_a_group_that_has_taken_over_no_flows_has_none_to_wait_for(self, flows: bool) -> None:
        simulation = three_nodes(VIP, *TABLE)
        if flows:
            simulation.busy_groups.add(simulation.group_of(VIP))
        simulation.withdraw(C, VIP)
        simulation.settle()
        fib = simulation.router.fib
        assert (fib.routes[parse_prefix(VIP)] in fib.groups.settling) is flows

    def test_a_withdrawn_prefix_leaves_the_kernel_and_takes_its_objects_along(self) -> None:
        simulation = three_nodes()
        for node in (A, B, C):
            simulation.withdraw(node, VIP)
        simulation.settle()
        assert simulation.fib() == {}
        assert simulation.kernel.groups == {}
        assert simulation.kernel.nexthops == {}

    def test_prefixes_do_not_wait_for_ever_for_quiet(self) -> None:
        simulation = three_nodes(VIP, *TABLE)
        simulation.withdraw(C, VIP)
        simulation.take(Settle(quiet=False))
        assert simulation.fib()[VIP] == [A, B, C]
        simulation.advance(1.1)
        assert simulation.fib()[VIP] == [A, B]

    def test_nor_do_they_for_a_moment_in_which_no_input_waits(self) -> None:
        simulation = three_nodes(VIP, *TABLE)
        for node in (A, B, C):
            simulation.end_of_rib(node)
        simulation.withdraw(C, VIP)
        simulation.take(Settle(quiet=False))
        simulation.now += BURST_PAUSE
        end = simulation.now + MOVE_PATIENCE
        while simulation.now < end:
            simulation.take(Settle(quiet=False))
            assert simulation.fib()[VIP] == [A, B, C]
            assert simulation.router.timer == end
            simulation.now = min(simulation.now + MOVE_PATIENCE / 4, end)
        simulation.take(Settle(quiet=False))
        assert simulation.fib()[VIP] == [A, B]

    def test_they_wait_no_longer_than_the_introduction_of_nodes_takes(self) -> None:
        simulation = three_nodes(VIP, *TABLE)
        simulation.withdraw(C, VIP)
        said = simulation.now
        simulation.take(Settle(quiet=False))
        simulation.now += BURST_PAUSE
        simulation.take(Settle(quiet=False))
        assert simulation.router.fib.has_waiting()
        assert simulation.router.timer == said + INTRODUCTION_PAUSE

    def test_the_local_network_is_no_route_in_the_fib(self) -> None:
        assert Simulation().rib() == {}


class TestFailover:
    def test_the_first_operation_takes_the_dead_node_out_of_every_group(self) -> None:
        simulation = three_nodes(VIP, "172.16.1.2/32")
        gone = simulation.kernel.nexthops.copy()
        simulation.down(C)
        [first] = simulation.operations
        assert isinstance(first, DeleteNexthop)
        assert gone[first.id].gateway == Gateway(parse_address(C), 3)
        assert simulation.fib() == {VIP: [A, B], "172.16.1.2/32": [A, B]}
        simulation.settle()
        assert simulation.operations_of(SetRoutes) == []
        assert simulation.fib() == simulation.rib()

    def test_a_peer_that_shares_its_next_hop_is_not_cut_off(self) -> None:
        simulation = Simulation(CONFIG.replace("hold_time = 9", 'hold_time = 9\nnext_hop = "any"'))
        for node in (A, B):
            simulation.up(node)
            simulation.announce(node, VIP, attributes=simulation.attributes(node, next_hop=A))
        simulation.settle()
        simulation.forget()
        simulation.down(A)
        simulation.settle()
        assert simulation.operations == []
        assert simulation.fib() == {VIP: [A]}

    def test_a_node_that_returns_during_the_purge_gets_only_what_it_announces(self) -> None:
        vips = [f"172.16.{i // 250}.{i % 250}/32" for i in range(9000)]
        simulation = three_nodes(*vips)
        simulation.down(C)
        assert simulation.router.busy
        simulation.up(C)
        simulation.announce(C, *vips[:10])
        simulation.settle()
        fib = simulation.fib()
        assert fib == simulation.rib()
        assert sum(C in gateways for gateways in fib.values()) == 10

    def test_the_only_node_lost_and_back(self) -> None:
        simulation = Simulation()
        simulation.up(A)
        simulation.announce(A, VIP)
        simulation.settle()
        simulation.down(A)
        simulation.settle()
        assert simulation.fib() == {}
        simulation.up(A)
        simulation.announce(A, VIP)
        simulation.settle()
        assert simulation.fib() == {VIP: [A]}


class TestGracefulRestart:
    def start(self, *, sent: bool = False, received: bool = False) -> Simulation:
        simulation = Simulation()
        for node in (A, B):
            simulation.up(node, graceful=preserving(15, notification=received), notification=sent)
            simulation.announce(node, VIP, f"172.20.{node[-1]}.0/24")
            simulation.end_of_rib(node)
        simulation.settle()
        simulation.forget()
        return simulation

    def test_a_lost_connection_keeps_the_paths_until_the_restart_time_is_over(self) -> None:
        simulation = self.start()
        simulation.down(A)
        simulation.advance(14.9)
        assert simulation.operations == []
        simulation.advance(0.2)
        assert simulation.fib() == {VIP: [B], "172.20.1.0/24": [B]}

    def test_what_is_not_announced_again_goes_at_end_of_rib(self) -> None:
        simulation = self.start()
        simulation.down(A)
        simulation.up(A, graceful=preserving())
        simulation.announce(A, VIP)
        simulation.settle()
        assert "172.20.0.0/24" in simulation.fib()
        simulation.end_of_rib(A)
        simulation.settle()
        assert simulation.fib() == {VIP: [A, B], "172.20.1.0/24": [B]}

    def test_without_the_forwarding_bit_stale_paths_go_at_once(self) -> None:
        simulation = self.start()
        simulation.down(A)
        simulation.up(A, graceful=None)
        simulation.settle()
        assert simulation.fib() == {VIP: [B], "172.20.1.0/24": [B]}

    @pytest.mark.parametrize(
        ("code", "subcode", "sent", "received", "kept"),
        [
            (4, 0, False, False, False),
            (4, 0, True, True, True),
            (6, 4, True, True, True),
            (6, 9, True, True, False),
            (6, 2, False, False, False),
            (6, 2, False, True, False),
            (6, 3, False, True, False),
            (6, 4, False, True, False),
            (6, 4, True, False, False),
            (3, 1, False, True, False),
            (3, 1, True, True, True),
        ],
    )
    def test_rfc_8538(self, code: int, subcode: int, sent: bool, received: bool, kept: bool) -> None:
        simulation = self.start(sent=sent, received=received)
        simulation.down(A, Notification(False, code, subcode))
        simulation.settle()
        assert (A in simulation.fib()[VIP]) is kept

    def test_the_death_of_the_speaker_child_changes_nothing_until_the_nodes_are_back(self) -> None:
        simulation = three_nodes()
        simulation.take(SpeakerDown("killed"))
        simulation.settle()
        assert simulation.operations == []
        for node in (A, B, C):
            simulation.up(node)
            simulation.announce(node, VIP)
            simulation.end_of_rib(node)
            simulation.settle()
        assert simulation.operations == []
        assert simulation.router.rib.peers[A].adj_rib_in.stale == {}

    def test_a_node_that_does_not_return_to_a_new_speaker_goes_after_the_restart_time(self) -> None:
        simulation = three_nodes()
        simulation.take(SpeakerDown("killed"))
        for node in (A, B):
            simulation.up(node)
            simulation.announce(node, VIP)
        simulation.advance(61)
        assert simulation.fib() == {VIP: [A, B]}


class TestRestart:
    def test_a_new_router_adopts_ids_and_touches_nothing_while_the_nodes_return(self) -> None:
        simulation = three_nodes(VIP, "172.16.1.2/32")
        before = simulation.kernel.dump()
        simulation.restart()
        simulation.settle()
        for node in (A, B, C):
            simulation.up(node)
            simulation.announce(node, VIP, "172.16.1.2/32")
            simulation.settle()
            simulation.end_of_rib(node)
            simulation.settle()
        assert simulation.kernel.dump() == before
        assert simulation.operations == []

    def test_what_nobody_announces_again_is_swept_once_all_have_spoken(self) -> None:
        simulation = three_nodes(VIP, "172.16.1.2/32")
        simulation.restart()
        for node in (A, B, C):
            simulation.up(node)
            simulation.announce(node, VIP)
            simulation.settle()
            assert "172.16.1.2/32" in simulation.fib()
            simulation.end_of_rib(node)
        simulation.settle()
        assert simulation.fib() == {VIP: [A, B, C]}

    def test_a_node_that_never_returns_is_swept_by_the_timer(self) -> None:
        simulation = three_nodes()
        simulation.restart()
        for node, seconds in ((A, 29), (B, 30)):
            simulation.up(node)
            simulation.announce(node, VIP)
            simulation.end_of_rib(node)
            simulation.advance(seconds)
        assert simulation.fib() == {VIP: [A, B, C]}
        simulation.advance(2)
        assert simulation.fib() == {VIP: [A, B]}

    def test_foreign_objects_are_never_touched(self) -> None:
        simulation = Simulation()
        simulation.kernel.nexthops[1] = KernelNexthop(1, 11, Gateway(parse_address(A), 2))
        simulation.restart()
        simulation.up(A)
        simulation.announce(A, VIP)
        simulation.settle()
        simulation.withdraw(A, VIP)
        simulation.settle()
        assert list(simulation.kernel.nexthops) == [1]


class TestDrift:
    @pytest.mark.parametrize(
        "what",
        ["route", "nexthop", "group", "all routes", "link", "elsewhere", "exchanged", "timers", "type", "weights"],
    )
    def test_it_is_found_and_mended(self, what: str) -> None:
        simulation = three_nodes(VIP, "172.16.1.2/32")
        kernel = simulation.kernel
        before = (dict(kernel.nexthops), dict(kernel.groups), dict(kernel.routes))
        match what:
            case "route":
                del kernel.routes[parse_prefix(VIP)]
            case "nexthop":
                kernel.delete(next(iter(kernel.nexthops)))
            case "group":
                kernel.delete(next(iter(kernel.groups)))
            case "all routes":
                kernel.routes.clear()
            case "elsewhere":
                first, second, _ = kernel.nexthops
                kernel.nexthops[first] = replace(kernel.nexthops[first], gateway=Gateway(parse_address(D), 2))
                kernel.nexthops[second] = replace(kernel.nexthops[second], gateway=None)
            case "exchanged":
                first, second, _ = kernel.nexthops
                one, other = kernel.nexthops[first].gateway, kernel.nexthops[second].gateway
                kernel.nexthops[first] = replace(kernel.nexthops[first], gateway=other)
                kernel.nexthops[second] = replace(kernel.nexthops[second], gateway=one)
            case "timers":
                group, _ = kernel.groups.values()
                kernel.groups[group.id] = replace(group, idle_timer=3.0)
            case "type":
                group, _ = kernel.groups.values()
                kernel.groups[group.id] = replace(group, buckets=0, idle_timer=0.0)
            case "weights":
                group, _ = kernel.groups.values()
                heavy, *others = group.members
                kernel.groups[group.id] = replace(group, members=(heavy._replace(weight=7), *others))
            case "link":
                kernel.link_down(3)
                up = simulation.router.rib.nexthops.interfaces[3]
                simulation.dump()
                assert simulation.fib() == {VIP: [A, B], "172.16.1.2/32": [A, B]}
                kernel.interfaces[3] = up
        simulation.dump()
        simulation.settle()
        assert simulation.fib() == {VIP: [A, B, C], "172.16.1.2/32": [A, B, C]}
        assert (simulation.router.reconciliation.drift_mended > 0) is (what != "link")
        assert (min(simulation.router.reconciliation.drift.values(), default=0) > 0) is (what != "link")
        if what != "link":
            assert (kernel.nexthops, kernel.groups, kernel.routes) == before
        simulation.forget()
        simulation.dump()
        assert simulation.operations == []
        assert simulation.events == []

    def test_a_refused_route_is_reported_and_tried_again(self) -> None:
        simulation = Simulation()
        kernel = simulation.kernel
        simulation.up(A)
        real, kernel.write = kernel.write, lambda operations: []  # type: ignore[method-assign]
        simulation.announce(A, VIP)
        simulation.settle()  # written into the void
        kernel.write = real  # type: ignore[method-assign]
        simulation.dump()
        assert simulation.fib() == {VIP: [A]}

    def test_refusals_show_and_clear(self) -> None:
        simulation = Simulation()
        simulation.up(A)
        held = simulation.kernel.interfaces.pop(2)
        simulation.announce(A, VIP)
        simulation.settle()
        assert VIP in {format_prefix(prefix) for prefix in simulation.router.fib.refused}
        assert any(event.name == "kernel refused" for event in simulation.events)
        simulation.kernel.interfaces[2] = held
        simulation.advance(70)
        assert simulation.fib() == {VIP: [A]}
        assert simulation.router.fib.refused == {}


class TestChurn:
    """Groups neither breed nor go astray, whatever comes in whatever order."""

    def test_a_hundred_drains_end_with_as_many_groups_as_before(self) -> None:
        other = "172.16.1.2/32"
        simulation = three_nodes(VIP, other)
        simulation.withdraw(A, VIP)
        simulation.settle()
        simulation.announce(A, VIP)
        simulation.settle()
        groups = dict(simulation.kernel.routes)
        simulation.forget()
        chance = random.Random(1)
        for _ in range(100):
            simulation.take(Drain(chance.choice((A, B, C)), chance.random() < 0.5))
            simulation.now += chance.random()
            simulation.settle()
        for node in (A, B, C):
            simulation.take(Drain(node, on=False))
        simulation.settle()
        assert simulation.kernel.routes == groups
        assert simulation.operations_of(SetRoutes) == []
        assert len(simulation.kernel.groups) == 2
        simulation.advance(simulation.config.fib.idle_timer)  # and every node has its share
        for group in simulation.kernel.groups.values():
            assert {member.weight for member in group.members} == {1}
        assert simulation.router.fib.groups.settling.next is None

    def test_an_address_that_comes_again_has_one_group_again(self) -> None:
        simulation = three_nodes(VIP, "172.16.1.2/32")
        for _ in range(20):
            for node in (A, B, C):
                simulation.withdraw(node, VIP)
            simulation.settle()
            for node in (B, A, C):
                simulation.announce(node, VIP)
                simulation.settle()
        assert simulation.fib() == simulation.rib()
        assert len(simulation.kernel.groups) == 2

    def test_the_balance_is_not_put_off_by_what_changes_meanwhile(self) -> None:
        simulation = nodes_alone(A)
        simulation.busy_groups.add(simulation.group_of(VIP))
        simulation.advance(500)
        simulation.up(B)
        simulation.announce(B, VIP)
        simulation.settle()
        begun = simulation.now
        while simulation.now < begun + simulation.config.fib.idle_timer - 2:
            simulation.take(Drain(B, on=True))
            simulation.advance(1)
            simulation.take(Drain(B, on=False))
            simulation.advance(1)
            assert simulation.operations_of(SetGroup)[-1].hold
        simulation.advance(3)
        assert not simulation.operations_of(SetGroup)[-1].hold
        assert len(simulation.kernel.groups) == 1


class TestSessions:
    def advertised(self, simulation: Simulation) -> list[Advertise]:
        return [effect for effect in simulation.effects if isinstance(effect, Advertise)]

    def test_a_new_peer_hears_the_networks_and_the_end_of_rib(self) -> None:
        simulation = Simulation()
        simulation.up(A)
        [told] = self.advertised(simulation)
        [(attributes, prefixes)] = told.announced
        assert prefixes == (parse_prefix("10.10.1.0/24"),)
        assert attributes.next_hop == parse_address("192.168.10.200")
        assert attributes.as_path == sequence(65000)
        assert told.end_of_rib == (Family.IPV4, Family.IPV6)

    def test_a_peer_without_advertise_hears_nothing(self) -> None:
        simulation = Simulation(CONFIG.replace('advertise = ["networks"]', ""))
        simulation.up(A)
        [told] = self.advertised(simulation)
        assert told.announced == ()

    def test_default_is_told_in_every_family_that_has_an_address(self) -> None:
        simulation = Simulation(CONFIG.replace('advertise = ["networks"]', 'advertise = ["default"]'))
        simulation.up(A)
        simulation.up(C)
        first, second = self.advertised(simulation)
        assert {format_prefix(p) for _, prefixes in first.announced for p in prefixes} == {"0.0.0.0/0", "::/0"}
        assert {format_prefix(p) for _, prefixes in second.announced for p in prefixes} == {"0.0.0.0/0"}
        assert simulation.router.rib.peers[C].unadvertisable == {Family.IPV6}

    def test_learned_routes_go_to_the_others_with_the_routers_next_hop_and_as(self) -> None:
        simulation = Simulation(CONFIG.replace('advertise = ["networks"]', 'advertise = ["learned"]'))
        simulation.up(A)
        simulation.up(C)
        simulation.forget()
        simulation.announce(A, VIP)
        [told] = self.advertised(simulation)
        [(attributes, prefixes)] = told.announced
        assert (told.peer, prefixes) == (C, (parse_prefix(VIP),))
        assert attributes.as_path == sequence(65000, 65001)
        assert attributes.next_hop == parse_address("192.168.20.200")
        simulation.forget()
        simulation.withdraw(A, VIP)
        assert self.advertised(simulation) == [Advertise(C, (parse_prefix(VIP),))]

    def test_route_refresh_is_answered(self) -> None:
        simulation = Simulation()
        simulation.up(A)
        simulation.forget()
        simulation.take(RouteRefresh(A, simulation.sessions[A].generation, Family.IPV4))
        simulation.settle()
        [told] = self.advertised(simulation)
        assert told.announced[0][1] == (parse_prefix("10.10.1.0/24"),)

    @pytest.mark.parametrize(("family", "prefix"), [(Family.IPV4, "0.0.0.0/0"), (Family.IPV6, "::/0")])
    def test_a_route_refresh_is_for_one_family(self, family: Family, prefix: str) -> None:
        simulation = Simulation(CONFIG.replace('advertise = ["networks"]', 'advertise = ["default"]'))
        simulation.up(A)
        simulation.forget()
        simulation.take(RouteRefresh(A, simulation.sessions[A].generation, family))
        simulation.settle()
        [told] = self.advertised(simulation)
        assert [prefixes for _, prefixes in told.announced] == [(parse_prefix(prefix),)]

    def test_a_flood_of_route_refreshes_has_an_answer_a_second(self) -> None:
        simulation = Simulation()
        simulation.up(A)
        simulation.forget()
        for _ in range(100):
            for family in Family:
                simulation.take(RouteRefresh(A, simulation.sessions[A].generation, family))
            simulation.settle()
        assert len(self.advertised(simulation)) == len(Family)
        simulation.forget()
        simulation.advance(INTERVAL)
        assert len(self.advertised(simulation)) == len(Family)
        simulation.forget()
        simulation.advance(10)
        assert self.advertised(simulation) == []

    def test_a_session_does_not_answer_for_the_one_before(self) -> None:
        simulation = Simulation()
        simulation.up(A)
        for _ in range(2):
            simulation.take(RouteRefresh(A, simulation.sessions[A].generation, Family.IPV4))
            simulation.settle()
        old = simulation.sessions[A].generation
        simulation.down(A)
        for session in ("none", "another one"):
            simulation.advance(10)
            simulation.forget()
            simulation.take(RouteRefresh(A, old, Family.IPV4))
            simulation.settle()
            assert self.advertised(simulation) == []
            if session == "none":
                simulation.up(A)

    def test_a_peer_that_nothing_configures_is_closed(self) -> None:
        simulation = Simulation()
        simulation.take(SessionUp("10.1.1.1", 99, "10.1.1.2", opened(1, "1.1.1.1"), opened(65000, "2.2.2.2")))
        assert [effect for effect in simulation.effects if isinstance(effect, CloseSession)]

    def test_messages_of_an_older_session_are_ignored(self) -> None:
        simulation = three_nodes()
        old = simulation.sessions[A].generation
        simulation.up(A)
        simulation.announce(A, VIP)
        simulation.settle()
        simulation.take(Update(A, old, [parse_prefix(VIP)]))
        simulation.settle()
        assert simulation.fib() == {VIP: [A, B, C]}

    def test_why_there_is_no_session_is_the_last_that_is_known(self) -> None:
        """An attempt that fails says so; the end of a session that another one has followed says nothing of that."""
        simulation = Simulation()
        simulation.up(A)
        peer = simulation.router.rib.peers[A]
        simulation.take(SessionDown(A, simulation.sessions[A].generation - 1, "an older one"))
        assert (peer.session is not None, peer.reason) == (True, "")
        simulation.down(A)
        assert peer.reason == "connection lost"
        simulation.take(SessionDown(A, 99, "the OPEN was refused"))
        assert peer.reason == "the OPEN was refused"
        simulation.take(SessionDown("10.9.9.9", 1, "nobody knows it"))
        assert "10.9.9.9" not in simulation.router.rib.peers

    def test_events_say_who_came_and_went(self) -> None:
        simulation = Simulation()
        simulation.up(A)
        simulation.down(A)
        assert [event.name for event in simulation.events if isinstance(event, Event)] == ["peer up", "peer down"]


@pytest.mark.parametrize("slow", [False, True], ids=["at-once", "slowly"])
@pytest.mark.parametrize("seed", range(40))
def test_whatever_the_nodes_do_the_kernel_ends_equal_to_the_rib(seed: int, slow: bool) -> None:
    chance = random.Random(seed)
    nodes = [f"192.168.10.{i}" for i in range(1, 7)]
    vips = [f"172.16.0.{i}/32" for i in range(24)]
    simulation = Simulation()
    simulation.slow = slow
    for _ in range(400):
        for _ in range(chance.randint(0, 4) if slow else 0):
            simulation.write_some()
        node = chance.choice(nodes)
        some = chance.sample(vips, chance.randint(1, len(vips)))
        action = chance.random()
        if node not in simulation.sessions:
            simulation.up(node, graceful=preserving() if chance.random() < 0.5 else None)
        elif action < 0.45:
            simulation.announce(node, *some)
        elif action < 0.75:
            simulation.withdraw(node, *some)
        elif action < 0.85:
            simulation.down(node)
        elif action < 0.9:
            simulation.take(SpeakerDown("killed"))
            simulation.sessions.clear()
        elif action < 0.93:
            simulation.restart()
        elif action < 0.96:
            simulation.kernel.delete(chance.choice([*simulation.kernel.nexthops, *simulation.kernel.groups, 0]))
            simulation.dump()
        elif action < 0.97:
            simulation.take(Drain(node, chance.random() < 0.5))
        elif action < 0.98:
            simulation.take(NeighbourState(Gateway(parse_address(node), 2), chance.random() < 0.5))
        elif action < 0.985:
            simulation.kernel.link_down(2)
            simulation.dump()
        elif action < 0.99:
            simulation.kernel.interfaces[2] = LINKS[0]
            simulation.dump()
        else:
            simulation.end_of_rib(node)
        if chance.random() < 0.6:
            simulation.take(Settle(quiet=chance.random() < 0.5))
        simulation.now += chance.random()
    simulation.slow = False
    if not simulation.kernel.interfaces[2].up:
        simulation.kernel.interfaces[2] = LINKS[0]
        simulation.dump()
    simulation.write_out()  # and no audit, which would mend what was done wrong
    for node in nodes:
        if node not in simulation.sessions:
            simulation.up(node)
        simulation.end_of_rib(node)
        simulation.take(NeighbourState(Gateway(parse_address(node), 2), True))
    simulation.advance(300)
    assert simulation.fib() == simulation.rib()
    used = set(simulation.kernel.routes.values())
    assert set(simulation.kernel.groups) == used
    assert simulation.router.fib.installed == len(simulation.kernel.routes)


def test_the_first_announcements_of_a_node_move_together() -> None:
    """Speakers send an UPDATE for each prefix. Prefixes that share a group wait for each other, until the node has
    said all, has paused, or for a second."""
    vips = (VIP, *TABLE)
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, *vips)
        simulation.take(Settle())
        simulation.end_of_rib(node)
        simulation.settle()
    assert simulation.fib() == {vip: [A, B] for vip in vips}
    assert len(simulation.kernel.groups) == 1
    assert not any(operation.like for operation in simulation.operations_of(SetGroup))
    simulation.up(C)
    begun = simulation.now
    while simulation.now < begun + MOVE_PATIENCE:  # without a pause, and without an End-of-RIB
        simulation.announce(C, VIP)
        simulation.take(Settle())
        assert simulation.fib() == {vip: [A, B] for vip in vips}
        simulation.now = min(simulation.router.timer or 0.0, simulation.now + INTRODUCTION_PAUSE / 2)
    simulation.take(Settle())
    rest = {vip: [A, B] for vip in TABLE}
    assert simulation.fib() == {VIP: [A, B, C], **rest}
    simulation.up(D)
    simulation.announce(D, TABLE[0])
    simulation.take(Settle())
    assert simulation.fib() == {VIP: [A, B, C], **rest}
    simulation.advance(INTRODUCTION_PAUSE)
    assert simulation.fib() == {VIP: [A, B, C], **rest, TABLE[0]: [A, B, D]}
