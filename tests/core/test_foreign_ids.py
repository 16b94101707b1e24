"""Somebody else takes an id just before routerd does: routerd takes another one, and nothing foreign is used."""

from __future__ import annotations

import pytest

from routerd.core.message import RTPROT_BGP, Gateway, KernelGroup, KernelNexthop, Member
from routerd.core.route import parse_address
from tests.support.core import Simulation

A, B = "192.168.10.100", "192.168.10.101"
VIP, OTHER = "172.16.1.1/32", "172.16.1.2/32"
ZEBRA = 11
STRANGER = Gateway(parse_address("192.168.10.250"), 2)


def take(simulation: Simulation, id: int, *, group: bool = False) -> None:
    """Somebody else makes an object under this id; routerd has not heard of it yet."""
    if group:
        simulation.kernel.nexthops[5000] = KernelNexthop(5000, ZEBRA, STRANGER)
        simulation.kernel.groups[id] = KernelGroup(id, ZEBRA, (Member(5000),))
    else:
        simulation.kernel.nexthops[id] = KernelNexthop(id, ZEBRA, STRANGER)


@pytest.mark.parametrize("first", range(4), ids=lambda id: f"{id} more are left")
@pytest.mark.parametrize("group", [False, True], ids=["nexthop", "group"])
def test_the_next_ids_are_taken(first: int, group: bool) -> None:
    simulation = Simulation()
    foreign = range(1 + first, 4 + first)
    for id in foreign:
        take(simulation, id, group=group)
    for peer in (A, B):
        simulation.up(peer)
        simulation.announce(peer, VIP)
        simulation.end_of_rib(peer)
    simulation.settle()
    simulation.advance(5)
    assert simulation.fib() == {VIP: [A, B]}
    assert simulation.rib() == simulation.fib()
    kernel = simulation.kernel
    assert all((kernel.nexthops | kernel.groups)[id].protocol == ZEBRA for id in foreign)
    own = [each for each in kernel.groups.values() if each.protocol != ZEBRA]
    assert all(kernel.nexthops[member.id].protocol != ZEBRA for each in own for member in each.members)
    assert not simulation.router.refusals.groups
    assert not simulation.router.fib.refused
    assert simulation.router.reconciliation.drift_mended == 0


@pytest.mark.parametrize("what", ["nexthop", "group"])
def test_an_id_of_ours_is_deleted_and_taken(what: str) -> None:
    simulation = Simulation()
    for peer in (A, B):
        simulation.up(peer)
        simulation.announce(peer, VIP, OTHER)
        simulation.end_of_rib(peer)
    simulation.settle()
    group = simulation.group_of(VIP)
    id = group if what == "group" else simulation.kernel.groups[group].members[0].id
    simulation.kernel.delete(id)
    take(simulation, id, group=what == "group")
    simulation.dump()
    simulation.advance(5)
    assert simulation.fib() == {VIP: [A, B], OTHER: [A, B]}
    kernel = simulation.kernel
    assert (kernel.nexthops | kernel.groups)[id].protocol == ZEBRA
    assert not simulation.router.refusals.groups


@pytest.mark.parametrize("usurped", ["nexthop", "group"])
def test_an_object_of_the_other_kind_under_an_id_of_ours_makes_room(usurped: str) -> None:
    """Somebody deletes a group and makes a nexthop in its place, with routerd's marks, or the contrary: the kernel
    replaces neither by the other."""
    simulation = Simulation()
    for peer in (A, B):
        simulation.up(peer)
        simulation.announce(peer, VIP)
        simulation.end_of_rib(peer)
    simulation.settle()
    kernel, group = simulation.kernel, simulation.group_of(VIP)
    first, second = (member.id for member in kernel.groups[group].members)
    if usurped == "group":
        kernel.delete(group)
        kernel.nexthops[group] = KernelNexthop(group, RTPROT_BGP, STRANGER)
    else:
        kernel.delete(first)
        kernel.groups[first] = KernelGroup(first, RTPROT_BGP, (Member(second),))
    simulation.dump()
    simulation.settle()
    ids = simulation.router.fib.groups.ids
    assert {first, second, group} <= ids._taken, "no other object gets these ids"
    assert simulation.fib() == {VIP: [A, B]}
    assert not simulation.router.refusals.groups
    assert not simulation.router.refusals.nexthops
