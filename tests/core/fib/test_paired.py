"""Groups of one of two routers: what is there is held, and what is new is a function of the addresses alone."""

from __future__ import annotations

from itertools import permutations

import pytest

from routerd.config.model import FibSection
from routerd.core.fib.drift import mend_objects
from routerd.core.fib.fib import Fib
from routerd.core.fib.model import Shape, in_order
from routerd.core.layout import made
from routerd.core.message import (
    RTPROT_BGP,
    Gateway,
    KernelGroup,
    KernelNexthop,
    KernelObjects,
    Member,
    Operation,
    SetGroup,
    SetNexthop,
)
from routerd.core.pair.register import Register
from routerd.core.route import Address, parse_address, parse_prefix
from routerd.core.wanted import Wanted

A, B, C = (Gateway(parse_address(f"10.0.0.{i}"), 2) for i in (1, 2, 3))
P, Q = parse_prefix("172.16.1.1/32"), parse_prefix("172.16.1.2/32")


def paired() -> Fib:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    fib.groups.paired = True
    return fib


def written(fib: Fib, now: float = 0.0) -> list[SetGroup]:
    return [each for each in fib.plan(now) if isinstance(each, SetGroup)]


@pytest.mark.parametrize("drained", [set(), {A}, {B}, {A, C}])
def test_a_new_group_is_the_same_whoever_came_first(drained: set[Gateway]) -> None:
    layouts: list[list[tuple[Address, int]]] = []
    for order in permutations((A, B, C)):
        fib = paired()
        fib.drain(drained)
        for number in range(1, 4):  # the ids of the nexthop objects follow the order of joining
            fib.want([P], Wanted(tuple(in_order(order[:number]))))
            fib.plan(float(number))
        fib.want([Q], Wanted((A, B, C)))
        [new] = written(fib, 10.0)
        owners = {id: gateway.address for gateway, id in fib.groups.nexthops.items()}
        layouts.append([(owners[id], length) for id, length in made(new.buckets, new.members)])
    assert all(layout == layouts[0] for layout in layouts)


def test_what_is_there_is_held_and_the_kernel_gives_nothing_back_to_who_returns() -> None:
    fib = paired()
    fib.want([P], Wanted((A, B)))
    assert [each.hold for each in written(fib)] == [False]
    fib.want([P], Wanted((A, B, C)))
    [joined] = written(fib)
    assert (joined.hold, joined.like) == (True, 0)
    fib.drain({C})
    assert [(each.hold, each.like) for each in written(fib)] == [(True, 0)]
    fib.want([P], Wanted((A, C)))
    assert [(each.hold, each.like) for each in written(fib)] == [(True, 0)]


def test_a_group_without_buckets_is_not_held() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1, groups="hash-threshold")))
    fib.groups.paired = True
    fib.want([P], Wanted((A, B)))
    fib.plan(0.0)
    fib.want([P], Wanted((A, B, C)))
    assert [each.hold for each in written(fib)] == [False]


def test_weights_that_hold_a_group_are_no_drift_but_a_member_that_is_missing_is() -> None:
    fib = paired()
    fib.want([P], Wanted((A, B)))
    operations: list[Operation] = fib.plan(0.0)
    nexthops = tuple(KernelNexthop(o.id, RTPROT_BGP, o.gateway) for o in operations if isinstance(o, SetNexthop))
    [group] = [o for o in operations if isinstance(o, SetGroup)]
    members = tuple(Member(member.id, weight) for member, weight in zip(group.members, (300, 724), strict=True))
    found = KernelGroup(group.id, RTPROT_BGP, members, group.buckets, 120.0, 0.0)
    assert mend_objects(fib, KernelObjects((), nexthops, (found,)), 1.0) == ([], [])
    less = KernelGroup(group.id, RTPROT_BGP, members[:1], group.buckets, 120.0, 0.0)
    wrong, _ = mend_objects(fib, KernelObjects((), nexthops, (less,)), 1.0)
    assert [each.kind for each in wrong] == ["group_members"]


def test_legs_that_only_their_interface_tells_apart_are_balanced_by_the_kernel() -> None:
    fib = paired()
    address = parse_address("fe80::1")
    links = tuple(Gateway(address, index) for index in (2, 3, 4))
    fib.want([parse_prefix("fd00::1/128")], Wanted(links[:2]))
    fib.plan(0.0)
    fib.want([parse_prefix("fd00::1/128")], Wanted(links))
    assert [each.hold for each in written(fib)] == [False]
    [group] = fib.groups
    assert not group.comparable
    assert Register(fib).name(group) == ("", None), "the partner cannot mean the same by an address"
