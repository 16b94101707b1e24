"""Groups whose members are to get different parts of the flows."""

from __future__ import annotations

import pytest

from routerd.config.model import FibSection
from routerd.core.fib.adopt import adopt
from routerd.core.fib.fib import Fib
from routerd.core.fib.forecast import foresee
from routerd.core.fib.model import Legs, Shape, shares_of
from routerd.core.message import (
    DeleteNexthop,
    Gateway,
    KernelDump,
    KernelGroup,
    KernelNexthop,
    Member,
    Operation,
    SetGroup,
)
from routerd.core.route import parse_address, parse_prefix
from routerd.core.wanted import Wanted
from tests.core.test_forecast import found

A, B, C = (Gateway(parse_address(f"10.0.0.{i}"), 2) for i in (1, 2, 3))
P, Q = parse_prefix("172.16.0.1/32"), parse_prefix("172.16.0.2/32")
IDS = {A: 2, B: 3, C: 4}


def made(wanted: Wanted, **options: object) -> tuple[Fib, list[Operation]]:
    fib = Fib(Shape(FibSection(nexthop_id_base=1, **options)))  # type: ignore[arg-type]
    fib.want([P], wanted)
    return fib, fib.plan(0.0)


def groups(operations: list[Operation]) -> list[dict[int, int]]:
    return [{m.id: m.weight for m in each.members} for each in operations if isinstance(each, SetGroup)]


def test_a_group_has_the_weights_that_are_wanted() -> None:
    _, operations = made(Wanted((A, B, C), weights=(1, 3, 2)))
    (group,) = [each for each in operations if isinstance(each, SetGroup)]
    assert group.members == (Member(2, 1), Member(4, 2), Member(3, 3))


def test_other_weights_change_the_group_in_place_and_the_same_ones_nothing() -> None:
    fib, _ = made(Wanted((A, B), weights=(1, 2)))
    fib.want([P], Wanted((A, B), weights=(1, 2)))
    assert fib.plan(1.0) == []
    fib.want([P], Wanted((A, B), weights=(2, 1)))
    (operation,) = fib.plan(1.0)
    assert groups([operation]) == [{2: 2, 3: 1}]
    assert isinstance(operation, SetGroup)
    assert operation.id == fib.routes[P].id
    fib.want([P], Wanted((A, B)))
    assert groups(fib.plan(1.0)) == [{2: 1, 3: 1}]


def test_prefixes_that_want_other_weights_do_not_share_a_group() -> None:
    fib, _ = made(Wanted((A, B), weights=(1, 2)), groups="hash-threshold")
    fib.want([Q], Wanted((A, B)))
    assert groups(fib.plan(0.0)) == [{2: 1, 3: 1}]


@pytest.mark.parametrize("widest", [65535, 256])
def test_a_drained_member_wants_no_bucket_and_the_others_keep_their_ratio(widest: int) -> None:
    shape = Shape(FibSection(), widest=widest)
    legs = shape.weigh({A: 0, B: 1, C: 3}, 1024)
    assert legs[C] == 3 * legs[B]
    assert shape.clings(legs, {A: 0, B: 1, C: 3}, 1024) == (widest == 256)
    assert max(legs.values()) <= widest
    assert shape.weigh({A: 0, B: 255}, 1024)[B] <= widest


def test_members_without_a_share_are_told_from_lighter_ones() -> None:
    shape = Shape(FibSection(), widest=256)
    shares = {A: 1, B: 255}
    assert shape.weigh(shares, 1024) == shares
    assert not shape.clings(shares, shares, 1024)


@pytest.mark.parametrize(
    ("wanted", "drained", "shares"),
    [
        (Wanted((A, B, C), weights=(1, 3, 2)), set(), {A: 1, B: 3, C: 2}),
        (Wanted((A, B, C), weights=(1, 3, 2)), {B}, {A: 1, B: 0, C: 2}),
        (Wanted((A, B, C), frozenset((A,)), (1, 3, 2)), {B}, {A: 0, B: 0, C: 2}),
        (Wanted((A, B, C), weights=(0, 3, 2)), set(), {A: 0, B: 3, C: 2}),
        (Wanted((A, B, C), weights=(0, 3, 2)), {B, C}, {A: 1, B: 3, C: 2}),
        (Wanted((A, B, C)), {A, B, C}, {A: 1, B: 1, C: 1}),
        (Wanted((A, B)), set(), {A: 1, B: 1, C: 1}),
    ],
)
def test_shares(wanted: Wanted, drained: set[Gateway], shares: Legs) -> None:
    assert shares_of(wanted, (A, B, C), drained) == shares


def test_who_gets_no_new_flow_leaves_a_hash_threshold_group() -> None:
    _, operations = made(Wanted((A, B, C), weights=(1, 0, 2)), groups="hash-threshold")
    assert groups(operations) == [{2: 1, 3: 2}]


def test_who_gets_no_new_flow_stays_in_a_resilient_group_and_the_lightest_is_first() -> None:
    _, operations = made(Wanted((A, B, C), weights=(1, 0, 2)))
    (group,) = [each for each in operations if isinstance(each, SetGroup)]
    assert [member.weight for member in group.members] == [1, 2048, 4096]
    assert group.members[0].id == IDS[B]


def test_the_ratio_outlives_a_death_and_a_drain() -> None:
    fib, _ = made(Wanted((A, B, C), weights=(1, 3, 2)))
    assert fib.fail([B]) == [DeleteNexthop(IDS[B])]
    assert fib.plan(1.0) == []
    fib.restore([B])
    (legs,) = groups(fib.plan(2.0))
    assert sorted(legs.values()) == [1, 2, 3]
    fib.drain({B})
    (legs,) = groups(fib.plan(3.0))
    assert sorted(legs.values()) == [1, 2048, 4096]
    fib.drain(set())
    (legs,) = groups(fib.plan(4.0))
    assert sorted(legs.values()) == [1, 2, 3]


def test_the_only_one_with_a_weight_dies_and_the_others_serve_alike() -> None:
    fib, _ = made(Wanted((A, B, C), weights=(1, 0, 0)))
    fib.fail([A])
    assert fib.plan(1.0) == []  # the kernel has given its buckets to the two, of like weight, already
    assert fib.routes[P].legs == {B: 1, C: 1}


def test_members_of_a_hash_threshold_group_keep_their_order_when_the_weights_change() -> None:
    """The kernel gives each a range of hashes, in this order: if two change places most flows move."""
    fib, _ = made(Wanted((A, B)), groups="hash-threshold")
    for weights in ((2, 1), (1, 2)):
        fib.want([P], Wanted((A, B), weights=weights))
        (operation,) = fib.plan(1.0)
        assert isinstance(operation, SetGroup)
        assert [member.id for member in operation.members] == [IDS[A], IDS[B]]


@pytest.mark.parametrize("weights", [(1, 2), (1, 1)])
def test_an_adopted_hash_threshold_group_keeps_its_weights_while_its_nodes_return(weights: tuple[int, int]) -> None:
    nexthops = (KernelNexthop(2, 186, A), KernelNexthop(3, 186, B))
    group = KernelGroup(1, 186, tuple(map(Member, (2, 3), weights)))
    fib = Fib(Shape(FibSection(nexthop_id_base=1, groups="hash-threshold")))
    adopt(fib, KernelDump((), nexthops, (group,), {P: 1, Q: 1}, {}), 0.0)
    assert fib.groups.settling.next is None
    assert fib.plan(1.0) == []
    wanted = Wanted((A, B), weights=weights if weights != (1, 1) else ())
    fib.want([P, Q], wanted)
    fib.awaiting.end([A, B])
    assert fib.plan(2.0) == []
    assert fib.groups.find(wanted) is fib.routes[P]
    fib.want([P, Q], Wanted((A, B), weights=(3, 1)))
    assert groups(fib.plan(3.0)) == [{2: 3, 3: 1}]


@pytest.mark.parametrize("groups_are", ["resilient", "hash-threshold"])
def test_an_adopted_group_keeps_its_weights_until_its_nodes_have_said_theirs(groups_are: str) -> None:
    """Some take longer than an idle timer."""
    fib = Fib(Shape(FibSection(nexthop_id_base=1, groups=groups_are)))  # type: ignore[arg-type]
    buckets, idle = (1024, 120.0) if groups_are == "resilient" else (0, 0.0)
    nexthops = (KernelNexthop(2, 186, A), KernelNexthop(3, 186, B))
    group = KernelGroup(1, 186, (Member(2, 1), Member(3, 3)), buckets, idle, 0.0)
    assert adopt(fib, KernelDump((), nexthops, (group,), {P: 1}, ()), 0.0) == []
    fib.want([P], Wanted((A,)))
    fib.awaiting.end([A])
    assert fib.plan(1.0) == []
    fib.balance(500.0)
    assert fib.plan(500.0) == []
    fib.want([P], Wanted((A, B), weights=(1, 3)))
    fib.awaiting.end([B])
    fib.balance(501.0)
    assert all(each == {2: 1, 3: 3} for each in groups(fib.plan(501.0)))
    fib.balance(501.0)
    assert all(each == {2: 1, 3: 3} for each in groups(fib.plan(501.0)))
    assert fib.routes[P] not in fib.groups.settling
    fib.want([P], Wanted((A, B), weights=(1, 1)))
    assert groups(fib.plan(502.0)) == [{2: 1, 3: 1}]


TABLE = [parse_prefix(f"172.17.{i // 250}.{i % 250}/32") for i in range(600)]


def parted(fib: Fib) -> list[Operation]:
    operations = fib.plan(1.0)
    while fib.has_waiting():
        operations += fib.part(1.0)
    return operations


def test_prefixes_of_a_shared_group_that_want_other_weights_stay_where_there_are_no_buckets_for_those() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1, bucket_budget=2048)))
    fib.want(TABLE, Wanted((A, B), weights=(1, 2)))
    fib.plan(0.0)
    fib.want(TABLE[:1], Wanted((A, B), weights=(2, 1)))
    parted(fib)
    group, alone = fib.routes[TABLE[1]], fib.routes[TABLE[0]]
    assert alone is not group  # there was room

    other = Wanted((A, B), weights=(3, 1))
    (part,) = found(foresee(fib, fib.groups.shape, dict.fromkeys(TABLE[1:101], other)))
    assert not part.gone
    fib.want(TABLE[1:101], other)
    assert parted(fib) == []
    assert {fib.routes[prefix] for prefix in TABLE[1:]} == {group}
    fib.want(TABLE[101:501], Wanted((A, B), weights=(3, 2)))
    assert groups(parted(fib)) == [{2: 3, 3: 2}]
    assert list(fib.groups) == [group, alone]
    fib.want(TABLE[1:], Wanted((A, B), weights=(1, 2)))
    assert groups(parted(fib)) == [{2: 1, 3: 2}]
    assert not group.waiting
    assert list(fib.groups) == [group, alone]


def test_prefixes_of_a_shared_group_that_want_other_members_leave_it_whatever_the_budget() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1, bucket_budget=1024)))
    fib.want(TABLE, Wanted((A, B), weights=(1, 2)))
    fib.plan(0.0)
    fib.want(TABLE[:1], Wanted((A, B), frozenset((A,)), (2, 1)))
    fib.want(TABLE[1:2], Wanted((A, B, C)))
    fib.want(TABLE[2:3], Wanted((A, B), weights=(2, 1)))
    parted(fib)
    assert len(list(fib.groups)) == 3
    assert fib.routes[TABLE[2]] is fib.routes[TABLE[3]]
