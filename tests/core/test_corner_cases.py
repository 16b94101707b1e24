"""Corner cases of the core, each of which once went wrong."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from routerd.api.views.peers import peers
from routerd.core.drains import INTERVAL as DRAIN_INTERVAL
from routerd.core.fib.parting import AT_ONCE, LIKE
from routerd.core.fib.placement import BULK
from routerd.core.gateway_health import Reason
from routerd.core.message import (
    Advertise,
    Drain,
    Event,
    Gateway,
    GracefulRestart,
    GroupLost,
    Interface,
    KernelObjects,
    NeighbourState,
    Notification,
    Operation,
    Program,
    SetGroup,
    SetNexthop,
    SetRoutes,
    Settle,
    Work,
    WriteFailed,
)
from routerd.core.planning import MOVE_PATIENCE
from routerd.core.rib.decision import Step
from routerd.core.rib.peer import Peer
from routerd.core.rib.purges import SLICE
from routerd.core.route import Address, Attributes, Family, format_prefix, parse_address, parse_prefix
from tests.support.core import CONFIG, LINKS, Simulation, preserving, sequence
from tests.support.slices import whole

A, B, C = "192.168.10.100", "192.168.10.101", "192.168.20.100"
VIP, OTHER = "172.16.1.1/32", "172.16.1.2/32"
VIP6 = "fd00:ac10::1/128"


def nodes(*addresses: str, graceful: GracefulRestart | None = None, config: str = CONFIG) -> Simulation:
    simulation = Simulation(config)
    for node in addresses:
        simulation.up(node, graceful=graceful)
        simulation.announce(node, VIP)
    simulation.settle()
    simulation.forget()
    return simulation


def test_a_node_that_flaps_while_input_waits_is_back_in_its_group() -> None:
    simulation = nodes(A, B, C)
    simulation.down(C)
    while simulation.router.busy:
        simulation.take(Settle(quiet=False))
        simulation.settle()
    simulation.up(C)
    simulation.announce(C, VIP)
    simulation.take(Settle(quiet=False))
    simulation.settle()
    assert simulation.fib() == {VIP: [A, B, C]}


def test_a_node_that_flaps_after_a_restart_is_back_in_a_group_that_still_waits_for_another() -> None:
    simulation = nodes(A, B, C)
    simulation.restart()
    for _ in range(2):
        simulation.up(C)
        simulation.announce(C, VIP)
        simulation.settle()
        simulation.down(C)
        simulation.settle()
    simulation.up(C)
    simulation.announce(C, VIP)
    simulation.settle()
    assert C in simulation.fib()[VIP]


def test_an_ipv4_mapped_next_hop_costs_the_others_nothing() -> None:
    simulation = Simulation()
    for node, hop in ((A, f"::ffff:{A}"), (B, "fd00:10::101"), (C, f"::ffff:{C}")):
        simulation.up(node)
        simulation.announce(node, VIP6, attributes=simulation.attributes(node, next_hop=hop))
        simulation.settle()
    assert simulation.fib() == {VIP6: ["fd00:10::101"]}
    assert simulation.router.refusals.groups == {}


def test_a_next_hop_that_the_kernel_refuses_costs_the_others_nothing_and_is_tried_rarely() -> None:
    simulation = Simulation()
    real = simulation.kernel.write
    bad = parse_address(A)

    def refusing(operations: object) -> object:
        return [
            failed
            for operation in operations  # type: ignore[attr-defined]
            for failed in (
                simulation.refusal(operation)
                if isinstance(operation, SetNexthop) and operation.gateway.address == bad
                else real([operation])
            )
        ]

    simulation.kernel.write = refusing  # type: ignore[method-assign, assignment]
    for node in (A, B, C):
        simulation.up(node)
        simulation.announce(node, VIP)
        simulation.settle()
    simulation.advance(10)
    assert simulation.fib() == {VIP: [B, C]}
    assert len(simulation.router.refusals.nexthops) == 1
    simulation.forget()
    simulation.advance(300)
    assert len([event for event in simulation.events if event.name == "kernel refused"]) < 20


def test_a_peer_that_lists_no_family_is_not_helped() -> None:
    simulation = nodes(A, B, graceful=GracefulRestart(True, False, 120, {}))
    simulation.down(A)
    simulation.settle()
    assert simulation.fib() == {VIP: [B]}


def test_only_the_families_that_a_peer_lists_are_kept() -> None:
    simulation = Simulation()
    simulation.up(A, graceful=GracefulRestart(False, False, 120, {Family.IPV4: True}))
    simulation.announce(A, VIP)
    simulation.announce(A, VIP6, attributes=simulation.attributes(A, next_hop="fd00:10::100"))
    simulation.settle()
    simulation.down(A)
    simulation.settle()
    assert simulation.fib() == {VIP: [A]}


def test_what_was_stale_already_goes_with_the_next_loss() -> None:
    simulation = Simulation()
    simulation.up(A, graceful=preserving())
    simulation.announce(A, VIP, OTHER)
    simulation.settle()
    simulation.down(A)
    simulation.up(A, graceful=preserving())
    simulation.announce(A, VIP)
    simulation.down(A)
    simulation.settle()
    assert simulation.fib() == {VIP: [A]}


def test_a_node_that_restarts_and_then_says_that_it_ends_is_out_at_once() -> None:
    """What it was given time for, to say all, is past with its session."""
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node, graceful=preserving())
        simulation.announce(node, VIP)
    simulation.settle()
    simulation.down(A)
    simulation.up(A, graceful=preserving())
    simulation.announce(A, VIP)
    simulation.settle()
    simulation.forget()
    simulation.down(A, Notification(True, 6, 2))
    assert any(isinstance(each, Program) and each.urgent for each in simulation.effects)
    simulation.settle()
    assert simulation.fib() == {VIP: [B]}


def test_an_old_purge_does_not_touch_what_was_announced_again() -> None:
    vips = [f"172.16.{i // 250}.{i % 250}/32" for i in range(9000)]
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, *vips)
    simulation.settle()
    simulation.down(A)  # without graceful restart: a purge begins
    simulation.up(A, graceful=preserving())
    simulation.announce(A, *vips)
    simulation.down(A)  # with it: all is kept
    simulation.settle()
    assert len(simulation.fib()) == 9000


def test_a_rejected_path_makes_nobody_healthy() -> None:
    simulation = nodes(A, C)
    simulation.announce(C, OTHER, attributes=simulation.attributes(C, next_hop=A))
    simulation.settle()
    simulation.down(A)
    assert simulation.fib() == {VIP: [C]}


def test_a_refused_prefix_that_is_withdrawn_is_no_longer_a_problem() -> None:
    simulation = Simulation()
    simulation.up(A)
    link = simulation.kernel.interfaces.pop(2)
    simulation.announce(A, VIP)
    simulation.settle()
    simulation.withdraw(A, VIP)
    simulation.settle()
    assert simulation.router.fib.refused == {}
    simulation.kernel.interfaces[2] = link


def test_an_address_that_comes_later_lets_the_family_be_advertised() -> None:
    simulation = Simulation(CONFIG.replace('advertise = ["networks"]', 'advertise = ["default"]'))
    simulation.up(C)
    assert simulation.router.rib.peers[C].unadvertisable == {Family.IPV6}
    simulation.forget()
    link = replace(
        LINKS[1],
        addresses=(*LINKS[1].addresses, parse_address("fd00:20::200")),
        networks=(*LINKS[1].networks, parse_prefix("fd00:20::/64")),
    )
    simulation.kernel.interfaces[3] = link
    simulation.dump()
    simulation.settle()
    [told] = [effect for effect in simulation.effects if isinstance(effect, Advertise)]
    assert [format_prefix(p) for _, prefixes in told.announced for p in prefixes] == ["::/0"]
    assert simulation.router.rib.peers[C].unadvertisable == frozenset()


def test_the_configured_default_survives_a_learned_one() -> None:
    config = CONFIG.replace('advertise = ["networks"]', 'advertise = ["default", "learned"]')
    simulation = Simulation(config.replace('accept = ["172.16.0.0/12"', 'accept = ["0.0.0.0/0", "172.16.0.0/12"'))
    simulation.up(A)
    simulation.up(B)
    simulation.forget()
    simulation.announce(A, "0.0.0.0/0")
    simulation.withdraw(A, "0.0.0.0/0")
    told = [effect for effect in simulation.effects if isinstance(effect, Advertise)]
    assert not any(effect.withdrawn for effect in told)


def test_adopted_groups_with_weights_wait_like_the_others() -> None:
    simulation = nodes(A, B)
    [group] = simulation.kernel.groups.values()
    members = tuple(member._replace(weight=2) for member in group.members)
    simulation.kernel.groups[group.id] = replace(group, members=members)
    simulation.restart()
    simulation.settle()
    assert simulation.fib() == {VIP: [A, B]}


def test_objects_that_nothing_uses_are_swept_at_the_start() -> None:
    simulation = nodes(A, B)
    simulation.kernel.routes.clear()
    simulation.restart()
    simulation.advance(130)
    assert simulation.kernel.groups == {}
    assert simulation.kernel.nexthops == {}


def test_a_link_without_an_address_of_interest_changes_no_verdict() -> None:
    simulation = nodes(A, B)
    found = simulation.kernel.dump()
    veth = Interface(9, "veth9", True, (parse_address("fe80::1"),), ())
    simulation.take(KernelObjects((*found.interfaces, veth), found.nexthops, found.groups))
    assert simulation.operations == []


def test_the_death_of_the_speaker_is_an_event() -> None:
    simulation = nodes(A, B)
    simulation.speaker_dies()
    assert Event("speaker down", {"reason": "killed", "sessions": 2}, level="error") in simulation.events


def test_a_node_that_says_it_will_go_is_drained_and_not_cut_off() -> None:
    simulation = nodes(A, B)
    leaving = Attributes(as_path=sequence(65001), next_hop=parse_address(A), communities=(0xFFFF0000,))
    simulation.announce(A, VIP, attributes=leaving)
    simulation.settle()
    [group] = simulation.kernel.groups.values()
    assert sorted(member.weight for member in group.members) == [1, 2048]
    simulation.announce(A, VIP)
    simulation.settle()
    [group] = simulation.kernel.groups.values()
    assert [member.weight for member in group.members] == [1, 1]


def _untag(simulation: Simulation) -> None:
    simulation.announce(A, VIP)


def _reject(simulation: Simulation) -> None:
    loop = Attributes(as_path=sequence(65001, 65000), next_hop=parse_address(A), communities=(0xFFFF0000,))
    simulation.announce(A, VIP, attributes=loop)  # the router's own AS is in the path


def _withdraw(simulation: Simulation) -> None:
    simulation.withdraw(A, VIP)


def _close(simulation: Simulation) -> None:
    simulation.down(A)


@pytest.mark.parametrize("end", [_untag, _reject, _withdraw, _close])
def test_a_node_drains_the_prefix_that_it_says_so_of_and_only_until_then(end: Callable[[Simulation], None]) -> None:
    """RFC 8326 speaks of paths. The tag goes with the path, whatever takes that away."""
    simulation = nodes(A, B)
    for node in (A, B):
        simulation.announce(node, OTHER)
    simulation.advance(MOVE_PATIENCE)
    leaving = Attributes(as_path=sequence(65001), next_hop=parse_address(A), communities=(0xFFFF0000,))
    simulation.announce(A, VIP, attributes=leaving)
    simulation.settle()
    assert _weights(simulation, VIP) == [1, 2048]
    assert _weights(simulation, OTHER) == [1, 1]
    assert [view["leaving"] for view in whole(peers(simulation.router, simulation.now))] == [1, 0]
    end(simulation)
    simulation.settle()
    simulation.up(A)
    simulation.announce(A, VIP, OTHER)
    simulation.settle()
    simulation.advance(300)
    assert _weights(simulation, VIP) == _weights(simulation, OTHER) == [1, 1]
    assert [view["leaving"] for view in whole(peers(simulation.router, simulation.now))] == [0, 0]
    assert len(simulation.kernel.groups) == 2


def test_where_all_leave_nobody_is_drained() -> None:
    simulation = nodes(A, B)
    for node in (A, B):
        leaving = Attributes(as_path=sequence(65001), next_hop=parse_address(node), communities=(0xFFFF0000,))
        simulation.announce(node, VIP, attributes=leaving)
        simulation.settle()
        assert _weights(simulation, VIP) == ([1, 2048] if node == A else [1, 1])


def test_the_operators_drain_and_the_nodes_are_told_apart() -> None:
    simulation = nodes(A, B, C)
    leaving = Attributes(as_path=sequence(65001), next_hop=parse_address(A), communities=(0xFFFF0000,))
    simulation.announce(A, VIP, attributes=leaving)
    simulation.take(Drain(B, on=True))
    simulation.settle()
    assert _weights(simulation, VIP) == [1, 1, 4096]
    simulation.announce(A, VIP)
    simulation.settle()
    assert _weights(simulation, VIP) == [1, 2048, 2048]


def _weights(simulation: Simulation, prefix: str) -> list[int]:
    return [member.weight for member in simulation.kernel.groups[simulation.group_of(prefix)].members]


def test_a_node_that_was_silent_and_lost_its_session_is_back_only_when_it_speaks() -> None:
    simulation = nodes(A, B, graceful=preserving(60))
    gateway = Gateway(parse_address(A), 2)
    simulation.take(NeighbourState(gateway, alive=False))
    assert simulation.fib() == {VIP: [B]}
    simulation.take(NeighbourState(gateway, alive=True))
    assert simulation.fib() == {VIP: [A, B]}
    simulation.take(NeighbourState(gateway, alive=False))
    simulation.down(A)
    simulation.take(NeighbourState(gateway, alive=True))
    simulation.settle()
    assert simulation.fib() == {VIP: [B]}
    simulation.up(A, graceful=preserving(60))
    simulation.settle()
    assert simulation.fib() == {VIP: [A, B]}


def test_a_group_that_goes_while_its_change_waits_gets_its_routes_back() -> None:
    """The kernel deletes a group with its last member, and the routes with it: the model still has a second one."""
    simulation = nodes(A)
    simulation.up(B)
    simulation.slow = True
    simulation.announce(B, VIP)
    simulation.advance(MOVE_PATIENCE)
    assert simulation.backlog.length > 0  # the group has A alone in the kernel
    simulation.down(A)
    simulation.write_out()
    assert simulation.fib() == {VIP: [B]}


def test_routes_that_are_forgotten_with_their_group_come_again_with_it() -> None:
    simulation = Simulation()
    simulation.up(A)
    simulation.up(B)
    simulation.slow = True
    simulation.announce(A, VIP)
    simulation.take(Settle())
    simulation.announce(B, VIP)
    simulation.advance(MOVE_PATIENCE)  # the group and its route wait, and that B joins it
    simulation.down(A)
    simulation.write_out()
    assert simulation.fib() == {VIP: [B]}


def test_a_group_that_parts_into_many_does_so_bit_by_bit() -> None:
    """Each group that is made like another one takes the kernel some milliseconds: a node's loss must not wait."""
    vips = [f"172.18.{i // 250}.{i % 250}/32" for i in range(BULK + 8)]
    members = [(A,), (B,), (C,), (A, B), (A, C), (B, C)]
    wanted = {vip: members[i] if i < len(members) else (A, B, C) for i, vip in enumerate(vips)}
    partings = AT_ONCE // LIKE
    simulation = nodes(A, B, C)
    for node in (A, B, C):
        simulation.announce(node, *vips)
    simulation.advance(MOVE_PATIENCE)
    assert len(simulation.kernel.groups) == 2
    simulation.forget()
    for node in (A, B, C):
        simulation.withdraw(node, *(vip for vip, some in wanted.items() if node not in some))
    simulation.take(Settle())
    assert len(simulation.operations_of(SetGroup)) == partings
    assert simulation.router.fib.unfinished
    simulation.withdraw(C, vips[6])  # of those that are left, one changes once more, and one goes
    for node in (B, C):
        simulation.withdraw(node, vips[5])
    while simulation.router.busy:
        before = len(simulation.operations_of(SetGroup))
        simulation.take(Settle(quiet=False))  # even while more input waits
        assert len(simulation.operations_of(SetGroup)) <= before + 2 * partings
    simulation.settle()
    assert simulation.fib() == simulation.rib()
    assert vips[5] not in simulation.fib()


def test_groups_made_like_others_stay_within_the_budget() -> None:
    simulation = Simulation(f"{CONFIG}\n[fib]\nbuckets = 512\nbucket_budget = 2048\n")
    vips = [f"172.16.1.{i}/32" for i in range(7)]
    for node in (A, B, C):
        simulation.up(node)
        simulation.announce(node, *vips)
    simulation.settle()
    for number, node in enumerate((A, B, C)):
        simulation.withdraw(node, *(vip for mask, vip in enumerate(vips, 1) if not mask >> number & 1))
    simulation.settle()
    assert simulation.fib() == simulation.rib()
    assert len(simulation.kernel.groups) == len(vips)
    assert sum(group.buckets for group in simulation.kernel.groups.values()) <= 2048


def test_a_drain_that_outlives_a_restart_leaves_a_group_that_waits_for_its_nodes_alone() -> None:
    simulation = nodes(A, B, C)
    simulation.take(Drain(C, on=True))
    simulation.settle()
    simulation.restart()
    simulation.take(Drain(C, on=True))
    simulation.up(C)
    simulation.announce(C, VIP)
    simulation.settle()
    assert simulation.fib() == {VIP: [A, B, C]}
    assert simulation.operations_of(SetRoutes) == []


def test_with_narrow_weights_a_drained_node_leaves_when_no_flow_is_left() -> None:
    """Before Linux 6.12 weights have 8 bits: one bucket in 257 stays with the drained node whatever it carries."""
    simulation = Simulation(widest=256)
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP)
    simulation.advance(5)
    simulation.advance(200)
    group = simulation.group_of(VIP)
    simulation.busy_groups = {group}
    simulation.take(Drain(A, on=True))
    simulation.advance(30)
    assert _weights(simulation, VIP) == [1, 256]
    simulation.idle_members = {
        nexthop.id
        for nexthop in simulation.kernel.nexthops.values()
        if nexthop.gateway == Gateway(parse_address(A), 2)
    }
    simulation.advance(DRAIN_INTERVAL)
    assert simulation.fib() == {VIP: [B]}
    assert simulation.router.fib.groups.clinging == {}
    simulation.take(Drain(A, on=False))
    simulation.settle()
    assert simulation.fib() == {VIP: [A, B]}
    simulation.advance(200)
    assert _weights(simulation, VIP) == [1, 1]
    assert simulation.group_of(VIP) == group


@pytest.mark.parametrize("how", ["closed", "silent"])
def test_a_drained_node_that_left_is_back_when_all_others_are_lost(how: str) -> None:
    simulation = Simulation(widest=256)
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP)
    simulation.settle()
    simulation.advance(200)
    simulation.take(Drain(A, on=True))
    simulation.advance(30)
    assert simulation.fib() == {VIP: [B]}
    if how == "closed":
        simulation.down(B)
    else:
        simulation.take(NeighbourState(Gateway(parse_address(B), 2), alive=False))
    simulation.settle()
    assert simulation.fib() == {VIP: [A]}


def test_many_sessions_that_end_at_once_are_not_compared_with_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failover waits for nothing, least of all for a comparison of each node with every other one."""
    simulation = Simulation()
    names = [f"192.168.10.{number}" for number in range(1, 101)]
    for number, name in enumerate(names):
        simulation.up(name)
        simulation.announce(name, f"172.16.1.{number}")
    simulation.settle()
    asked: list[str] = []
    leads = simulation.router.rib.leads
    find = leads._find

    def counted(peer: Peer) -> tuple[frozenset[Gateway], frozenset[Address]]:
        asked.append(peer.address)
        return find(peer)

    monkeypatch.setattr(leads, "_find", counted)
    for name in names:
        simulation.down(name)
    assert len(asked) <= 3 * len(names)
    assert len(simulation.router.health.having(Reason.NO_SESSION)) == len(names)


@pytest.mark.parametrize("first", [A, B])
def test_a_next_hop_goes_with_the_last_of_its_peers(first: str) -> None:
    simulation = Simulation(CONFIG.replace("accept", 'next_hop = "any"\naccept'))
    for name in (A, B):
        simulation.up(name)
        simulation.announce(name, VIP, attributes=simulation.attributes(name, next_hop=C))
    simulation.settle()
    simulation.down(first)
    assert simulation.fib() == {VIP: [C]}
    simulation.down(B if first == A else A)
    assert simulation.fib() == {}


@pytest.mark.parametrize("what", [SetGroup, SetRoutes])
def test_a_group_that_cannot_be_made_again_yet_keeps_its_prefixes(what: type[Operation]) -> None:
    """Somebody flushes all nexthop objects, and routerd is in the middle: the flows are in that group's buckets."""
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP)
        simulation.end_of_rib(node)
    simulation.settle()
    group, write = simulation.group_of(VIP), simulation.kernel.write

    def refusing(operations: Sequence[Operation]) -> list[WriteFailed | GroupLost]:
        found: list[WriteFailed | GroupLost] = []
        for each in operations:
            if isinstance(each, SetRoutes):  # the group was not made, or is gone again
                found.append(WriteFailed(each, errno.ENOENT, "Nexthop id does not exist"))
            elif isinstance(each, what):
                found += simulation.refusal(each)
        return found

    simulation.kernel.delete(group)
    simulation.kernel.write = refusing  # type: ignore[method-assign]
    simulation.dump()
    simulation.dump()
    simulation.kernel.write = write  # type: ignore[method-assign]
    simulation.forget()
    simulation.dump()
    assert simulation.fib() == {VIP: [A, B]}
    assert simulation.group_of(VIP) == group
    assert [each.like for each in simulation.operations_of(SetGroup)] == [group]
    assert not simulation.router.fib.refused


def test_a_path_of_the_own_as_loses_to_one_from_outside() -> None:
    simulation = Simulation()
    simulation.up(A, asn=65000)
    simulation.up(B)
    for node in (A, B):
        simulation.announce(node, VIP, attributes=simulation.attributes(node, as_path=sequence(65001)))
    simulation.settle()
    assert simulation.fib() == {VIP: [B]}
    loc_rib = simulation.router.rib.loc_rib
    assert list(loc_rib.decision(loc_rib.paths_of(parse_prefix(VIP))).lost.values()) == [Step.EXTERNAL]


def test_what_is_purged_slice_by_slice_parts_nothing() -> None:
    """All prefixes of a table lose the same node: until that is taken in they only seem to want different things."""
    vips = [f"172.16.{i // 250}.{i % 250}/32" for i in range(3 * SLICE)]
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, *vips)
        simulation.end_of_rib(node)
    simulation.settle()
    simulation.advance(10)
    simulation.forget()
    simulation.down(A)
    while simulation.router.rib.lifecycle.purges:
        simulation.take(Work())
        simulation.take(Settle(quiet=True))
    simulation.settle()
    assert simulation.operations_of(SetRoutes) == []
    assert len(simulation.router.fib.groups.by_id) == 1


@pytest.mark.parametrize("portions", range(4))
def test_prefixes_on_their_way_to_a_group_that_is_lost_leave_the_old_one_all_the_same(portions: int) -> None:
    """Their routes are not written, or refused: the nodes of the group that they were in do not announce them."""
    simulation = Simulation()
    table = [f"172.16.{number >> 8}.{number & 255}/32" for number in range(2 * BULK)]
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, *table)
        simulation.end_of_rib(node)
    simulation.advance(5)
    simulation.slow = True
    simulation.withdraw(B, *table[:BULK])
    simulation.settle()
    for _ in range(portions):
        simulation.write_some()
    simulation.down(A)
    simulation.write_out()
    routes = simulation.kernel.dump().routes
    assert not routes.keys() & set(map(parse_prefix, table[:BULK]))
    assert len(routes) == BULK
