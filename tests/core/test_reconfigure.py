"""Another configuration while routerd runs: what changes, and that nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from routerd.config.load import parse
from routerd.config.model import Config
from routerd.core.message import (
    Advertise,
    CloseSession,
    DeleteRoutes,
    Effect,
    Notification,
    Program,
    Reconfigure,
    SetGroup,
    SetRoutes,
    SpeakerUp,
)
from routerd.core.route import format_prefix, parse_address
from tests.support.core import CONFIG, Simulation, preserving

A, B = "192.168.10.101", "192.168.10.102"
VIP, OTHER = "172.16.1.1/32", "172.20.0.1/32"
RESET = Notification(True, 6, 6)
"""How the speaker ends a session whose parameters are others."""


@pytest.fixture
def simulation() -> Simulation:
    """Return a router with two nodes that both announce two addresses, and have said all."""
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP, OTHER)
        simulation.end_of_rib(node)
    simulation.settle()
    simulation.effects.clear()
    simulation.operations.clear()
    return simulation


def changed(simulation: Simulation, section: str, **keys: Any) -> Config:
    """Return the running configuration with other values of these keys; `nodes` is the peer group."""
    data = simulation.router.config.model_dump(exclude_none=True)
    (data["peer_groups"]["nodes"] if section == "nodes" else data[section]).update(keys)
    return Config.model_validate(data)


def reconfigure(simulation: Simulation, config: Config) -> list[Effect]:
    """Put a configuration in force, and return what came of it."""
    simulation.take(Reconfigure(config))
    simulation.settle()
    return simulation.effects


def told(effects: list[Effect], peer: str) -> tuple[set[str], set[str]]:
    """Return what a peer is told is gone, and what is announced to it."""
    heard = [each for each in effects if isinstance(each, Advertise) and each.peer == peer]
    withdrawn = {format_prefix(prefix) for each in heard for prefix in each.withdrawn}
    return withdrawn, {format_prefix(p) for each in heard for _, prefixes in each.announced for p in prefixes}


def test_the_same_again_does_nothing(simulation: Simulation) -> None:
    assert reconfigure(simulation, changed(simulation, "fib")) == []


def test_accept_is_judged_anew(simulation: Simulation) -> None:
    """A narrower accept takes routes away, a wider one brings them back, and no other route is touched."""
    reconfigure(simulation, changed(simulation, "nodes", accept=["172.16.0.0/16"]))
    assert simulation.fib() == {VIP: [A, B]} == simulation.rib()
    touched = {
        p for each in simulation.operations if isinstance(each, SetRoutes | DeleteRoutes) for p in each.prefixes
    }
    assert {format_prefix(prefix) for prefix in touched} == {OTHER}
    reconfigure(simulation, changed(simulation, "nodes", accept="any"))
    assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]} == simulation.rib()


def test_next_hop_is_judged_anew(simulation: Simulation) -> None:
    third = "172.16.3.3/32"
    simulation.announce(A, third, attributes=simulation.attributes(A, "192.168.10.103"))
    simulation.settle()
    assert third not in simulation.fib()
    reconfigure(simulation, changed(simulation, "nodes", next_hop="any"))
    assert simulation.fib()[third] == ["192.168.10.103"]
    reconfigure(simulation, changed(simulation, "nodes", next_hop="peer"))
    assert third not in simulation.fib()


def test_decisions_are_made_anew(simulation: Simulation) -> None:
    """Fewer paths: the groups change in place, no route is touched."""
    reconfigure(simulation, changed(simulation, "fib", max_paths=1))
    assert simulation.fib() == {VIP: [A], OTHER: [A]} == simulation.rib()
    assert not [each for each in simulation.operations if isinstance(each, SetRoutes | DeleteRoutes)]
    reconfigure(simulation, changed(simulation, "fib", max_paths=2))
    simulation.advance(300)
    assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}
    assert not [each for each in simulation.operations if isinstance(each, SetRoutes | DeleteRoutes)]


def test_networks_are_told_and_protected(simulation: Simulation) -> None:
    effects = reconfigure(simulation, changed(simulation, "router", networks=["10.10.2.0/24", "172.20.0.0/24"]))
    assert told(effects, A) == told(effects, B) == ({"10.10.1.0/24"}, {"10.10.2.0/24", "172.20.0.0/24"})
    assert simulation.fib() == {VIP: [A, B]}, "what lies in a network of the router's own is its own"


def test_advertise_tells_the_difference(simulation: Simulation) -> None:
    effects = reconfigure(simulation, changed(simulation, "nodes", advertise=["default", "networks"]))
    assert told(effects, A) == (set(), {"0.0.0.0/0", "::/0"})
    effects.clear()
    assert told(reconfigure(simulation, changed(simulation, "nodes", advertise=[])), B) == (
        {"0.0.0.0/0", "::/0", "10.10.1.0/24"},
        set(),
    )
    effects.clear()
    simulation.announce(A, "172.16.7.7/32")
    simulation.settle()
    assert told(reconfigure(simulation, changed(simulation, "nodes", advertise=["learned"])), B)[1] >= {
        "172.16.7.7/32"
    }


def test_a_session_that_is_reset_costs_no_route(simulation: Simulation) -> None:
    """Its parameters are others: the speaker ends it, the node returns, and the FIB is as it was all the while."""
    reconfigure(simulation, changed(simulation, "nodes", hold_time=30))
    for node in (A, B):
        simulation.down(node, RESET)
    simulation.settle()
    simulation.advance(20)
    assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}
    simulation.up(A)
    simulation.announce(A, VIP)
    simulation.end_of_rib(A)
    simulation.settle()
    assert simulation.fib() == {VIP: [A, B], OTHER: [B]}, "what the node does not announce any more goes"
    simulation.advance(60)
    assert simulation.fib() == {VIP: [A]}, "a node that does not return is out after stale_time"


def test_a_later_loss_of_the_session_is_a_loss(simulation: Simulation) -> None:
    """What kept the routes was the one reset: the next end of a session counts as any."""
    reconfigure(simulation, changed(simulation, "nodes", hold_time=30))
    for node in (A, B):
        simulation.down(node, RESET)
        simulation.up(node)
        simulation.announce(node, VIP, OTHER)
        simulation.end_of_rib(node)
    simulation.settle()
    simulation.down(A)
    simulation.settle()
    assert simulation.fib() == {VIP: [B], OTHER: [B]}


def test_a_peer_that_is_removed_is_out(simulation: Simulation) -> None:
    """Its session ends, its routes go; it is forgotten at the next audit."""
    data = simulation.router.config.model_dump(exclude_none=True)
    data["dynamic_peers"][0]["range"] = f"{B}/32"
    reconfigure(simulation, Config.model_validate(data))
    simulation.down(A)
    simulation.settle()
    assert simulation.fib() == {VIP: [B], OTHER: [B]}
    simulation.dump()
    assert list(simulation.router.rib.peers) == [B]


@pytest.mark.parametrize("how", ["its connection is lost", "the speaker dies"])
def test_a_peer_that_is_removed_is_out_however_its_session_ends(how: str) -> None:
    """It is not told, or not in time, that it is removed; and nothing of it is kept for a return."""
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node, graceful=preserving())
        simulation.announce(node, VIP)
        simulation.end_of_rib(node)
    simulation.settle()
    data = simulation.router.config.model_dump(exclude_none=True)
    data["dynamic_peers"][0]["range"] = f"{B}/32"
    reconfigure(simulation, Config.model_validate(data))
    if how == "the speaker dies":
        simulation.speaker_dies()
    else:
        simulation.down(A)
    simulation.settle()
    assert simulation.fib() == {VIP: [B]}
    assert not simulation.router.rib.judge.hosts.wanted


def test_a_stale_peer_that_is_removed_is_out_at_once(simulation: Simulation) -> None:
    simulation.speaker_dies()
    data = simulation.router.config.model_dump(exclude_none=True)
    data["dynamic_peers"] = []
    reconfigure(simulation, Config.model_validate(data))
    assert simulation.fib() == {}


def test_a_peer_gets_a_name_and_a_group(simulation: Simulation) -> None:
    """A dynamic peer becomes a static one, of another group with the same session parameters: nothing is reset."""
    group = CONFIG.partition("[peer_groups.nodes]")[2].partition("[[")[0]
    peer = f'[[peers]]\nname = "w1"\naddress = "{A}"\ngroup = "new"\n'
    text = f"{CONFIG}[peer_groups.new]{group}{peer}"
    config = parse(text)
    config = config.model_copy(update={"fib": simulation.router.config.fib})
    effects = reconfigure(simulation, config)
    assert simulation.router.rib.peers[A].name == "w1"
    assert simulation.router.rib.peers[A].group_name == "new"
    assert not [each for each in effects if isinstance(each, Program | CloseSession)]


def test_timers_are_written_in_place(simulation: Simulation) -> None:
    """Groups keep their ids, members and buckets."""
    before = simulation.kernel.groups.copy()
    effects = reconfigure(simulation, changed(simulation, "fib", idle_timer=7.0, unbalanced_timer=30.0))
    operations = [each for effect in effects if isinstance(effect, Program) for each in effect.operations]
    assert {type(each) for each in operations} == {SetGroup}
    assert {each.id for each in operations if isinstance(each, SetGroup)} == set(before)
    assert {(g.idle_timer, g.unbalanced_timer) for g in simulation.kernel.groups.values()} == {(7.0, 30.0)}
    assert {id: g.members for id, g in simulation.kernel.groups.items()} == {
        id: g.members for id, g in before.items()
    }


def test_a_shorter_idle_timer_ends_a_longer_wait(simulation: Simulation) -> None:
    simulation.busy_groups.update(simulation.kernel.groups)
    simulation.advance(600)
    for node in (B,):
        simulation.withdraw(node, VIP)
        simulation.settle()
        simulation.advance(600)
        simulation.announce(node, VIP)
        simulation.settle()
    assert list(simulation.router.fib.groups.settling._of), (
        "the flows of the one that was alone have to show themselves"
    )
    reconfigure(simulation, changed(simulation, "fib", idle_timer=2.0))
    simulation.advance(2.5)
    assert not list(simulation.router.fib.groups.settling._of)


@pytest.mark.parametrize("first", ["resilient", "hash-threshold"])
def test_groups_of_another_type(first: str) -> None:
    """All prefixes move to groups of the other type, and back."""
    simulation = Simulation(CONFIG.replace("[router]", f'[fib]\ngroups = "{first}"\n[router]', 1))
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP, OTHER)
        simulation.end_of_rib(node)
    simulation.settle()
    second = "hash-threshold" if first == "resilient" else "resilient"
    for kind in (second, first):
        reconfigure(simulation, changed(simulation, "fib", groups=kind))
        simulation.advance(300)
        assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}
        assert {bool(each.buckets) for each in simulation.kernel.groups.values()} == {kind == "resilient"}


def test_a_group_that_was_lost_does_not_come_back_as_one_of_another_type(simulation: Simulation) -> None:
    """Both nodes were lost, and so were the groups; other groups are wanted since."""
    for node in (A, B):
        simulation.down(node)
    simulation.settle()
    assert simulation.fib() == {}
    reconfigure(simulation, changed(simulation, "fib", groups="hash-threshold"))
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP, OTHER)
    simulation.settle()
    assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}
    assert {group.buckets for group in simulation.kernel.groups.values()} == {0}


def test_a_session_that_came_up_just_before_costs_no_route(simulation: Simulation) -> None:
    """Its coming and its reset are heard of together, after the configuration has changed."""
    simulation.speaker_dies()
    simulation.take(SpeakerUp())
    reconfigure(simulation, changed(simulation, "nodes", hold_time=30))
    for node in (A, B):
        simulation.up(node)
        simulation.down(node, RESET)
    simulation.settle()
    assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}


def test_a_node_that_dies_as_the_configuration_changes_is_out(simulation: Simulation) -> None:
    reconfigure(simulation, changed(simulation, "nodes", hold_time=30))
    simulation.down(A, Notification(True, 4, 0))
    simulation.down(B, RESET)
    simulation.settle()
    assert simulation.fib() == {VIP: [B], OTHER: [B]}


def test_a_peer_that_is_removed_while_its_session_is_reset_is_out(simulation: Simulation) -> None:
    reconfigure(simulation, changed(simulation, "nodes", hold_time=30))
    data = simulation.router.config.model_dump(exclude_none=True)
    data["dynamic_peers"][0]["range"] = f"{B}/32"
    reconfigure(simulation, Config.model_validate(data))
    simulation.down(A, RESET)
    simulation.settle()
    assert simulation.fib() == {VIP: [B], OTHER: [B]}


@pytest.mark.parametrize("when", ["before", "with", "after"])
def test_what_is_stale_is_judged_anew(simulation: Simulation, when: str) -> None:
    """What is not accepted any more goes at once, though its node is not there: its session was reset before, or with
    the same change, or the speaker has died since. What stays accepted stays."""
    third = "172.16.3.3/32"
    wide = [f"172.20.{i // 250}.{i % 250}/32" for i in range(9000)]
    simulation.announce(A, third, *wide)
    simulation.settle()
    if when == "before":
        reconfigure(simulation, changed(simulation, "nodes", hold_time=30))
        for node in (A, B):
            simulation.down(node, RESET)
    keys = {"accept": ["172.16.0.0/16"]} | ({"hold_time": 20} if when == "with" else {})
    simulation.take(Reconfigure(changed(simulation, "nodes", **keys)))
    if when == "with":
        for node in (A, B):
            simulation.down(node, RESET)
    if when == "after":
        simulation.speaker_dies()
    simulation.settle()
    assert simulation.fib() == {VIP: [A, B], third: [A]} == simulation.rib()


def test_the_next_hop_of_what_is_stale_is_judged_anew(simulation: Simulation) -> None:
    third = "172.16.3.3/32"
    reconfigure(simulation, changed(simulation, "nodes", next_hop="any"))
    simulation.announce(A, third, attributes=simulation.attributes(A, "192.168.10.103"))
    simulation.settle()
    assert third in simulation.fib()
    simulation.down(A, RESET)
    reconfigure(simulation, changed(simulation, "nodes", next_hop="peer"))
    assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}


def test_what_peers_hear_is_worked_out_anew_only_if_it_changes() -> None:
    """A full table that peers hear is not gone through for the sake of a timer."""
    simulation = Simulation(CONFIG.replace('advertise = ["networks"]', 'advertise = ["networks", "learned"]'))
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP, OTHER)
        simulation.end_of_rib(node)
    simulation.settle()
    groups = list(simulation.router.rib.advertising.adj_ribs_out._groups.values())
    for keys in ({"stale_time": 300}, {"accept": ["172.16.0.0/16"]}, {"hold_time": 30}):
        reconfigure(simulation, changed(simulation, "nodes", **keys))
        assert list(simulation.router.rib.advertising.adj_ribs_out._groups.values()) == groups
    reconfigure(simulation, changed(simulation, "router", networks=["10.10.2.0/24"]))
    assert not set(groups) & set(simulation.router.rib.advertising.adj_ribs_out._groups.values())


def test_a_peer_that_is_removed_does_not_keep_the_old_policy_for_its_group() -> None:
    """It comes first, and is still of its group as that was; the others of the group are judged by the new one."""
    simulation = Simulation(f'{CONFIG}[[peers]]\nname = "w1"\naddress = "{A}"\ngroup = "nodes"\n')
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, VIP, OTHER)
    simulation.settle()
    data = simulation.router.config.model_dump(exclude_none=True)
    data["peers"], data["dynamic_peers"][0]["range"] = [], f"{B}/32"
    data["peer_groups"]["nodes"]["accept"] = ["172.16.0.0/16"]
    reconfigure(simulation, Config.model_validate(data))
    simulation.down(A)
    simulation.settle()
    assert simulation.fib() == {VIP: [B]}


def test_other_decisions_and_another_path_at_once(simulation: Simulation) -> None:
    """There are fewer places, and a path is accepted that gets none: the FIB follows nevertheless."""
    third = "192.168.10.103"
    simulation.up(third)
    simulation.announce(third, VIP, attributes=simulation.attributes(third, A))
    simulation.settle()
    data = simulation.router.config.model_dump(exclude_none=True)
    data["fib"]["max_paths"] = 1
    data["peer_groups"]["nodes"]["next_hop"] = "any"
    reconfigure(simulation, Config.model_validate(data))
    assert simulation.fib() == simulation.rib() == {VIP: [A], OTHER: [A]}


def test_the_routers_own_networks_have_its_id(simulation: Simulation) -> None:
    networks = simulation.router.rib.networks
    before = networks.path
    reconfigure(simulation, changed(simulation, "nodes", hold_time=30))
    assert networks.path is before, "as old as it was"
    reconfigure(simulation, changed(simulation, "router", router_id="192.168.10.201"))
    assert networks.path.router_id == parse_address("192.168.10.201")
