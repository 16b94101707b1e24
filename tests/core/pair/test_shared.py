"""Tables, whose prefixes share a group: the two routers know it by what is wanted of it, however it came to that."""

from __future__ import annotations

import pytest

from routerd.config.model import FibSection
from routerd.core.fib.fib import Fib
from routerd.core.fib.model import Group, Shape
from routerd.core.message import Gateway
from routerd.core.pair.register import Register
from routerd.core.route import parse_address, parse_prefix
from routerd.core.wanted import Wanted
from tests.core.pair.test_pair import NODES, states
from tests.support.pairs import Half, Two

MANY = [f"172.17.{i // 250}.{i % 250}/32" for i in range(900)]
FEW = [f"172.18.{i // 250}.{i % 250}/32" for i in range(540)]


def serve(half: Half, prefixes: list[str], *nodes: str) -> None:
    for node in nodes:
        if node not in half.sessions:
            half.up(node)
        half.announce(node, *prefixes)
    half.settle_now()


def restart(two: Two, prefixes: list[str]) -> None:
    """B is restarted, and two nodes tell it all anew."""
    two.restart(two.b)
    serve(two.b, prefixes, *NODES[:2])
    for node in NODES[:2]:
        two.b.end_of_rib(node)
    two.connect()


@pytest.mark.parametrize("way", ["it withdraws all from one of the two", "one of the two was restarted"])
def test_a_node_is_gone_for_good_and_each_has_learnt_of_it_otherwise(way: str) -> None:
    """Its loss takes it out of the group at once; that nobody wants it there any more is known later."""
    two = Two()
    for half in two.both:
        serve(half, MANY, *NODES[:3])
    two.advance(5.0)
    two.a.down(NODES[2])
    two.a.settle_now()
    if way == "it withdraws all from one of the two":
        two.b.withdraw(NODES[2], *MANY)
        two.b.settle_now()
    else:
        two.b.down(NODES[2])
        two.b.settle_now()
        two.advance(5.0)
        restart(two, MANY)
    two.advance(5.0)
    assert states(two.a) == states(two.b) == {"equal": 1}


def test_two_tables_that_come_to_lead_to_the_same_nodes_are_not_taken_for_each_other() -> None:
    """Whatever their groups have for ids on each router."""
    two = Two()
    serve(two.b, ["172.16.1.1/32"], NODES[0])
    for half in two.both:
        serve(half, MANY, *NODES[:2])
        serve(half, FEW, *NODES[:3])
    two.b.withdraw(NODES[0], "172.16.1.1/32")
    for half in two.both:
        half.withdraw(NODES[2], *FEW)
        half.settle_now()
    two.advance(5.0)
    assert two.a.group_of(FEW[0]) != two.b.group_of(FEW[0])
    assert states(two.a) == states(two.b) == {"equal": 2}
    assert two.a.layout(FEW[0]) == two.b.layout(FEW[0])
    assert two.a.layout(MANY[0]) == two.b.layout(MANY[0])
    for half in two.both:
        half.withdraw(NODES[0], *MANY)
        half.withdraw(NODES[1], *MANY)
        half.settle_now()
    restart(two, FEW)  # which makes B know of one alone
    two.advance(5.0)
    assert states(two.a) == states(two.b) == {"equal": 1}


def test_a_prefix_that_goes_to_another_table_takes_the_name_along() -> None:
    fib = Fib(Shape(FibSection()))
    register, gateway = Register(fib), Gateway(parse_address("10.0.0.1"), 2)
    names: list[str] = []
    for id, prefixes in enumerate((MANY, FEW[:9], FEW[9:]), 1):
        group = Group(id, Wanted((gateway,)), 64, shared=True)
        group.legs, group.prefixes = {gateway: 1}, dict.fromkeys(map(parse_prefix, prefixes))
        fib.groups.add(group)
        key, holder = register.name(group)
        assert holder is None
        register.add(id, key)
        names.append(key)
    assert names == [names[0], f"{names[0]} {FEW[0]}", f"{names[0]} {FEW[9]}"]
    first, second = fib.groups.by_id[2], fib.groups.by_id[3]
    del first.prefixes[parse_prefix(FEW[0])]
    second.prefixes[parse_prefix(FEW[0])] = None
    assert register.name(second) == (names[1], register.accords[2])
    assert register.name(first) == (f"{names[0]} {FEW[1]}", None)
    assert register.named_after(names[0]) == [2, 3]
    register.remove(register.accords[2])
    assert register.named_after(names[0]) == [3]


@pytest.mark.parametrize(("more", "has_it"), [(0, False), (1, True)])
def test_of_two_tables_the_one_that_was_there_first_keeps_the_name_unless_the_other_is_larger(
    more: int, has_it: bool
) -> None:
    fib = Fib(Shape(FibSection()))
    register, gateway = Register(fib), Gateway(parse_address("10.0.0.1"), 2)
    for id, prefixes in enumerate((MANY[:600], FEW[: 300 + more] + MANY[600:]), 1):
        group = Group(id, Wanted((gateway,)), 64, shared=True)
        group.legs, group.prefixes = {gateway: 1}, dict.fromkeys(map(parse_prefix, prefixes))
        fib.groups.add(group)
        key, holder = register.name(group)
        if id == 1:
            register.add(id, key)
    assert (holder is register.accords[1]) is has_it
    assert (key == register.accords[1].key) is has_it
