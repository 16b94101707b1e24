"""Where the ways to next hops change, all path sets are decided anew: slice by slice, and to the same end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import pytest

from routerd.core.message import (
    ForeignRoute,
    KernelObjects,
    Leg,
    Notification,
    Reconfigure,
    RouteChange,
    RouteRefresh,
    RoutesChanged,
    Settle,
    SoftReset,
    Update,
    Work,
)
from routerd.core.rib import rib as rib_module
from routerd.core.rib.reconsideration import EACH, SLICE
from routerd.core.rib.refreshes import INTERVAL
from routerd.core.route import Family, Prefix, parse_address, parse_prefix
from tests.support.core import Simulation

NODES = [f"192.168.10.{100 + number}" for number in range(11)]
VIPS = {f"172.16.{index // 250}.{index % 250}/32": some for index, some in enumerate(combinations(NODES, 5))}


@pytest.fixture
def loaded() -> Simulation:
    """Return a router with a path set, and a group, of its own for each VIP."""
    simulation = Simulation()
    for node in NODES:
        simulation.up(node)
        simulation.announce(node, *(vip for vip, nodes in VIPS.items() if node in nodes))
        simulation.end_of_rib(node)
    simulation.settle()
    assert len(simulation.fib()) == len(VIPS) > SLICE // EACH
    return simulation


@pytest.fixture
def decisions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the decisions that are made."""
    made = [0]
    decide = rib_module.decide

    def counting(*arguments: object) -> object:
        made[0] += 1
        return decide(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(rib_module, "decide", counting)
    return made


def link(simulation: Simulation, *, up: bool, index: int = 2) -> None:
    """The nodes' link, or another one, goes up or down, and the kernel is read."""
    simulation.kernel.interfaces[index] = replace(simulation.kernel.interfaces[index], up=up)
    found = simulation.kernel.dump()
    simulation.take(KernelObjects(found.interfaces, found.nexthops, found.groups))


def test_a_link_that_goes_and_comes_back_has_few_sets_decided_at_a_stretch(
    loaded: Simulation, decisions: list[int]
) -> None:
    before = loaded.fib()
    for up in (False, True):
        decisions[0] = 0
        link(loaded, up=up)
        most, total = decisions[0], decisions[0]
        assert total < len(VIPS)
        while loaded.router.busy:
            decisions[0] = 0
            loaded.take(Work())
            loaded.take(Settle())
            most, total = max(most, decisions[0]), total + decisions[0]
        assert most <= SLICE // EACH
        assert total >= len(VIPS)
        loaded.settle()
        assert loaded.fib() == loaded.rib()
    assert loaded.fib() == before


@pytest.mark.parametrize("slices", [0, 1, 3])
def test_what_changes_between_two_slices_is_not_missed(loaded: Simulation, slices: int) -> None:
    """A link that is back before its loss has been told everywhere, and nodes that say something meanwhile."""
    link(loaded, up=False)
    for _ in range(slices):
        loaded.take(Work())
    vips = list(VIPS)
    loaded.withdraw(NODES[0], *(vip for vip in vips[::2] if NODES[0] in VIPS[vip]))
    loaded.take(Work())
    link(loaded, up=True)
    loaded.take(Work())
    loaded.withdraw(NODES[1], *(vip for vip in vips[::3] if NODES[1] in VIPS[vip]))
    loaded.settle()
    assert not loaded.router.rib.loc_rib.untold
    assert loaded.fib() == loaded.rib()
    assert len(loaded.fib()) == len(VIPS)


def test_sets_that_decide_alike_are_not_told_again(loaded: Simulation) -> None:
    link_ = loaded.kernel.interfaces[2]
    loaded.kernel.interfaces[2] = replace(link_, networks=(*link_.networks, loaded.router.rib.networks.prefixes[0]))
    loaded.forget()
    found = loaded.kernel.dump()
    loaded.take(KernelObjects(found.interfaces, found.nexthops, found.groups))
    loaded.settle()
    assert loaded.operations == []


@pytest.mark.parametrize("slices", [0, 1, 3])
def test_what_leaves_a_set_that_decides_otherwise_is_told_though_the_next_set_decides_the_same(
    loaded: Simulation, slices: int
) -> None:
    """Only one path is to be used from now on, and those that are used no more go before that was told everywhere."""
    one = {"fib": loaded.router.config.fib.model_copy(update={"max_paths": 1})}
    loaded.take(Reconfigure(loaded.router.config.model_copy(update=one)))
    for _ in range(slices):
        loaded.take(Work())
    for node in NODES[-3:]:
        loaded.withdraw(node, *(vip for vip, nodes in VIPS.items() if node in nodes and nodes[0] != node))
    loaded.settle()
    assert loaded.fib() == loaded.rib()
    assert {len(gateways) for gateways in loaded.fib().values()} == {1}


def _lead(simulation: Simulation, node: str, by: str = "", *, deleted: bool = False) -> None:
    """Somebody adds a route to a node by way of an address on its link, or deletes it."""
    way = ForeignRoute(1, 4, 0, 0, (Leg(parse_address(by) if by else None, 2),))
    prefix = parse_prefix(f"{node}/32")
    if deleted:
        del simulation.kernel.foreign[prefix]
    else:
        simulation.kernel.foreign[prefix] = (way,)
    simulation.take(RoutesChanged((RouteChange(prefix, way, deleted=deleted),)))


@pytest.mark.parametrize("slices", [0, 1, 2, 3])
def test_what_really_changes_is_told_though_the_way_to_another_node_never_keeps_still(
    loaded: Simulation, decisions: list[int], slices: int
) -> None:
    """A route to a node comes and goes more often than all is decided: the way to one node changes before, and that
    to another one in the midst of it."""
    steps, table = 40, loaded.router.rib.loc_rib
    for step in range(steps):
        if step in (0, slices + 1):
            _lead(loaded, NODES[bool(step)], f"192.168.10.{1 + bool(step)}")
        _lead(loaded, NODES[-1], "192.168.10.3", deleted=bool(step % 2))
        decisions[0] = 0
        loaded.take(Work())
        loaded.take(Settle())
        assert decisions[0] <= SLICE // EACH
        assert table.stale, "a path set is left to be decided at any time"
    for vip, gateways in loaded.fib().items():
        assert [NODES[0] in VIPS[vip], NODES[1] in VIPS[vip]] == [f"192.168.10.{n}" in gateways for n in (1, 2)]
        assert gateways.count(NODES[0]) == gateways.count(NODES[1]) == 0
    loaded.settle()
    assert loaded.fib() == loaded.rib()
    assert not table.untold


def test_what_leads_no_node_elsewhere_has_nothing_decided_anew(loaded: Simulation, decisions: list[int]) -> None:
    """Another link goes up and down, the router gets an address, somebody adds routes to elsewhere."""
    decisions[0] = 0
    for up in (False, True):
        link(loaded, up=up, index=3)
    nodes, own = loaded.kernel.interfaces[2], parse_address("192.168.10.201")
    loaded.kernel.interfaces[2] = replace(nodes, addresses=(*nodes.addresses, own))
    link(loaded, up=True)
    _lead(loaded, "192.168.77.1", NODES[0])
    assert not loaded.router.rib.loc_rib.stale
    loaded.settle()
    assert decisions[0] == 0
    assert loaded.fib() == loaded.rib()


def _ask(simulation: Simulation) -> None:
    """Two nodes ask to hear all again, all the time."""
    for node in NODES[:2]:
        simulation.take(RouteRefresh(node, simulation.sessions[node].generation, Family.IPV4))


def _lose(simulation: Simulation) -> None:
    """A node is gone for good that had a large table."""
    if (lost := "192.168.10.150") in simulation.sessions:
        simulation.down(lost, Notification(True, 6, 3))


def _reset(simulation: Simulation) -> None:
    """A large table is judged again and again."""
    simulation.take(SoftReset("192.168.10.150", incoming=True))


@pytest.mark.parametrize("also", [_ask, _lose, _reset])
def test_whatever_else_there_is_to_do_decisions_take_their_turn(
    loaded: Simulation, also: Callable[[Simulation], None]
) -> None:
    simulation = loaded
    simulation.up("192.168.10.150")
    wide = [Prefix(bytes([32, 172, 20, i >> 8, i & 255])) for i in range(40_000)]
    up = simulation.sessions["192.168.10.150"]
    simulation.take(Update(up.peer, up.generation, [], [(simulation.attributes(up.peer), wide)]))
    simulation.settle()
    way = ForeignRoute(1, 4, 0, 0, (Leg(parse_address("192.168.10.1"), 2),))
    node = parse_prefix(f"{NODES[0]}/32")
    simulation.kernel.foreign[node] = (way,)
    also(simulation)
    simulation.take(RoutesChanged((RouteChange(node, way),)))
    sets = len(list(simulation.router.rib.loc_rib.sets()))
    most = 2 * (sets * EACH // SLICE + 1) + 1  # the guard has a turn, too
    for _ in range(most):
        assert simulation.router.rib.busy
        simulation.now += INTERVAL
        also(simulation)
        simulation.take(Settle())
        simulation.take(Work())
    assert not simulation.router.rib.loc_rib.stale
    simulation.settle()
    assert simulation.fib() == simulation.rib()
