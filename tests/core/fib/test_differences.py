"""What the kernel has otherwise than wanted, each kind of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from routerd.core.fib.differences import Differences, Expected, Group, both, compare, expected
from routerd.core.message import Gateway, KernelDump, NeighbourState
from routerd.core.route import Prefix, parse_address, parse_prefix
from tests.support.core import Simulation
from tests.support.slices import whole

A, B = "192.168.10.101", "192.168.10.102"
P, Q = parse_prefix("172.16.1.1/32"), parse_prefix("172.16.1.2/32")
Routes = dict[Prefix, int]
GATEWAYS = {name: Gateway(parse_address(name), 2) for name in (A, B)}


def wanted_and_found() -> tuple[Expected, KernelDump]:
    """Return both where P goes to two nodes."""
    simulation = Simulation()
    for node in (A, B):
        simulation.up(node)
        simulation.announce(node, "172.16.1.1/32")
    simulation.settle()
    return whole(expected(simulation.router.fib)), simulation.kernel.dump()


def looked(change: Callable[[KernelDump], KernelDump]) -> Differences:
    """Return what differs once somebody has changed something."""
    wanted, found = wanted_and_found()
    return compare(wanted, change(found))


def other_weights(dump: KernelDump) -> KernelDump:
    [group] = dump.groups
    return replace(dump, groups=(replace(group, members=tuple(m._replace(weight=7) for m in group.members)),))


def other_size(dump: KernelDump) -> KernelDump:
    [group] = dump.groups
    return replace(dump, groups=(replace(group, buckets=512),))


@pytest.mark.parametrize(
    ("change", "routes"),
    [
        pytest.param(lambda routes: routes, {}, id="nothing"),
        pytest.param(lambda routes: {}, {P: (True, 0)}, id="missing"),
        pytest.param(lambda routes: {P: 99}, {P: (True, 99)}, id="elsewhere"),
        pytest.param(lambda routes: {**routes, Q: 99}, {Q: (False, 99)}, id="one too many"),
    ],
)
def test_routes(
    change: Callable[[dict[bytes, int]], dict[bytes, int]], routes: dict[bytes, tuple[bool, int]]
) -> None:
    found = looked(lambda dump: replace(dump, routes=change(dump.routes)))
    assert {prefix: (wanted > 0, there) for prefix, (wanted, there) in found.routes.items()} == routes
    assert found.total == len(routes)


def test_what_the_kernel_has_refused_is_told_of_though_nothing_differs() -> None:
    """A deletion, for one: nothing is wanted there."""
    wanted, found = wanted_and_found()
    refused = wanted._replace(refused=dict.fromkeys((P, Q), (17, "File exists")))
    assert compare(refused, found).routes == {P: (wanted.routes[P], wanted.routes[P]), Q: (0, 0)}


def test_nexthops_and_groups() -> None:
    assert looked(lambda dump: dump) == Differences({}, {}, {})
    gone = looked(lambda dump: replace(dump, groups=(), nexthops=dump.nexthops[1:]))
    assert [there for _, there in gone.groups.values()] == [None]
    assert gone.total == 2
    assert list(gone.nexthops.values()) == [(GATEWAYS[A], None)]
    [(wanted, there)] = looked(other_size).groups.values()
    assert wanted is not None
    assert there == wanted._replace(buckets=512)
    [(wanted, there)] = looked(other_weights).groups.values()
    assert wanted == Group(dict.fromkeys(GATEWAYS.values(), 1), 1024)
    assert there == Group(dict.fromkeys(GATEWAYS.values(), 7), 1024)


def test_weights_of_a_group_that_is_not_settled_are_those_of_its_layout() -> None:
    wanted, found = wanted_and_found()
    unsettled = wanted._replace(unsettled=frozenset(wanted.groups))
    assert compare(unsettled, other_weights(found)).groups == {}
    [group] = found.groups
    less = replace(found, groups=(replace(group, members=group.members[:1]),))
    assert compare(unsettled, less).groups.keys() == {group.id}


def test_a_group_whose_nodes_are_all_gone_is_not_expected_to_be_there() -> None:
    simulation = Simulation()
    simulation.up(A)
    simulation.announce(A, "172.16.1.1/32")
    simulation.settle()
    simulation.take(NeighbourState(GATEWAYS[A], alive=False))
    wanted = whole(expected(simulation.router.fib))
    assert (wanted.groups, wanted.routes) == ({}, {})
    assert compare(wanted, simulation.kernel.dump()).total == 0


def test_what_is_so_for_a_moment_is_no_difference() -> None:
    once = looked(lambda dump: replace(dump, routes={}))
    assert both(once, once) == once
    assert both(once, looked(lambda dump: dump)).total == 0
    assert both(once, looked(lambda dump: replace(dump, routes={P: 99}))).total == 0
