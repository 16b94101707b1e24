"""The planner alone: which operations lead from what is to what is wanted."""

from __future__ import annotations

import sys

import pytest

from routerd.config.model import FibSection
from routerd.core.fib.adopt import adopt
from routerd.core.fib.drift import mend_objects
from routerd.core.fib.fib import Fib
from routerd.core.fib.lost import KEPT
from routerd.core.fib.model import Shape
from routerd.core.fib.parting import AT_ONCE, FEW, LIKE, MANY
from routerd.core.fib.placement import BULK
from routerd.core.message import (
    DeleteNexthop,
    DeleteRoutes,
    Gateway,
    KernelDump,
    KernelGroup,
    KernelNexthop,
    KernelObjects,
    Member,
    Operation,
    SetGroup,
    SetNexthop,
    SetRoutes,
)
from routerd.core.route import Prefix, parse_address, parse_prefix
from routerd.core.wanted import Wanted

A, B, C = (Gateway(parse_address(f"10.0.0.{i}"), 2) for i in (1, 2, 3))
P, Q = parse_prefix("172.16.1.1/32"), parse_prefix("172.16.1.2/32")


TABLE = tuple(parse_prefix(f"172.17.{i // 250}.{i % 250}/32") for i in range(BULK + 1))
OTHERS = tuple(parse_prefix(f"172.18.{i // 250}.{i % 250}/32") for i in range(BULK + 1))


def planned(fib: Fib, now: float = 0.0, *, quiet: bool = True) -> list[Operation]:
    operations: list[Operation] = []
    while fib.unfinished or not operations:
        before = len(operations)
        operations += fib.plan(now)
        if len(operations) == before:
            break
    return [*operations, *(fib.part(now) if quiet else [])]


def filled(*prefixes: Prefix) -> Fib:
    """P and Q go to A and B, by groups 1 and 4 of nexthops 2 and 3."""
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    fib.want(prefixes or [P, Q], Wanted((A, B)))
    planned(fib)
    return fib


def test_objects_come_before_what_points_at_them_and_go_after_it() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    fib.want([P], Wanted((A, B)))
    nexthops = [SetNexthop(2, A), SetNexthop(3, B)]
    group = SetGroup(1, (Member(2), Member(3)), 1024, 120.0, 0.0)
    assert planned(fib) == [*nexthops, group, SetRoutes(1, (P,))]
    fib.want([P], Wanted(()))
    assert planned(fib) == [DeleteRoutes((P,)), DeleteNexthop(1), DeleteNexthop(2), DeleteNexthop(3)]
    assert fib.groups.buckets == 0


def test_a_prefix_changes_its_own_group_in_place() -> None:
    fib = filled()
    fib.want([P], Wanted((A, B, C)))
    assert planned(fib, quiet=False) == [
        SetNexthop(5, C), SetGroup(1, (Member(2), Member(3), Member(5)), 1024, 120.0, 0.0, like=1)
    ]  # fmt: skip
    fib.want([P], Wanted((B, C)))
    assert planned(fib, quiet=False) == [SetGroup(1, (Member(3), Member(5)), 1024, 120.0, 0.0)]


def test_a_table_shares_a_group_and_a_common_change_is_one_replacement() -> None:
    fib = filled(*TABLE)
    assert len(fib.groups.by_id) == 1
    fib.want(TABLE[:300], Wanted((A, B, C)))
    assert planned(fib, quiet=False) == []
    fib.want(TABLE[300:], Wanted((A, B, C)))
    assert [type(operation) for operation in planned(fib, quiet=False)] == [SetNexthop, SetGroup]
    assert not fib.has_waiting()


def test_who_parts_gets_a_group_like_the_one_it_leaves_and_balance_later() -> None:
    fib = filled(*TABLE)
    one = TABLE[0]
    fib.want([one], Wanted((A, B, C)))
    group, nexthop, routes = planned(fib)[0:3]
    nexthop, group, routes = planned_sorted([group, nexthop, routes])
    assert nexthop == SetNexthop(5, C)
    assert group == SetGroup(4, (Member(2), Member(3), Member(5)), 1024, 120.0, 0.0, like=1)
    assert routes == SetRoutes(4, (one,))
    fib.balance(119.0)
    assert planned(fib, 119.0) == []
    fib.balance(120.0)
    assert planned(fib, 120.0) == [SetGroup(4, (Member(2), Member(3), Member(5)), 1024, 120.0, 0.0)]
    fib.balance(500.0)
    assert planned(fib, 500.0) == []


def planned_sorted(operations: list[Operation]) -> list[Operation]:
    return sorted(operations, key=lambda operation: [SetNexthop, SetGroup, SetRoutes].index(type(operation)))


def test_many_who_part_alike_share_the_copy() -> None:
    fib = filled(*TABLE)
    fib.want(TABLE[: FEW + 1], Wanted((A,)))
    assert [type(operation) for operation in planned(fib)] == [SetGroup, SetRoutes]


def test_who_parts_for_a_gateway_that_has_failed_has_no_route_until_it_is_back() -> None:
    fib = filled(*TABLE)
    fib.fail([C])
    fib.want(TABLE[:300], Wanted((C,)))
    assert DeleteRoutes(TABLE[:300]) in planned(fib)
    assert fib.expected().keys() == set(TABLE[300:])
    fib.restore([C])
    assert {prefix for o in planned(fib) if isinstance(o, SetRoutes) for prefix in o.prefixes} == set(TABLE[:300])


def test_who_changes_once_more_before_it_parts_has_not_parted() -> None:
    fib = filled(*TABLE)
    fib.want(TABLE[:1], Wanted((A,)))
    assert planned(fib, quiet=False) == []
    assert fib.has_waiting()
    fib.want(TABLE[:1], Wanted((A, B)))
    assert planned(fib) == []
    assert not fib.has_waiting()


def test_when_there_are_groups_enough_new_prefixes_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routerd.core.fib.index.MOST", 2)
    fib = filled()
    others = [parse_prefix(f"172.16.2.{i}/32") for i in range(4)]
    for other in others:
        fib.want([other], Wanted((A, B)))
        planned(fib)
    assert len(fib.groups.by_id) == 3
    assert len({fib.routes[other] for other in others}) == 1


def test_a_burst_is_planned_bit_by_bit_and_what_changes_meanwhile_is_written_once() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    vips = [parse_prefix(f"172.16.2.{i}/32") for i in range(200)]
    fib.want(vips, Wanted((A,)))
    first = fib.plan(0.0)
    assert len(first) <= 2 * AT_ONCE + 1
    assert fib.behind
    fib.want(vips[150:], Wanted((A, B)))
    rest = planned(fib)
    made = [operation for operation in (*first, *rest) if isinstance(operation, SetGroup)]
    assert len(made) == 200
    assert [fib.routes[vip].legs.keys() for vip in vips] == [{A: 1}.keys()] * 150 + [{A: 1, B: 1}.keys()] * 50


@pytest.mark.parametrize(("prefixes", "paired"), [((P, Q), False), ((P, Q), True), (TABLE, False)])
def test_a_failure_is_one_operation_and_what_follows_in_the_rib_is_none(
    prefixes: tuple[Prefix, ...], paired: bool
) -> None:
    fib = filled(*prefixes)
    fib.groups.paired = paired
    assert fib.fail([A]) == [DeleteNexthop(2)]
    assert fib.fail([A]) == []
    assert planned(fib) == []
    fib.want(prefixes, Wanted((B,)))
    assert planned(fib) == []
    fib.forget([A])
    assert fib.groups.down == set()


def test_the_last_member_lost_and_back_brings_the_routes_again() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    fib.want([P], Wanted((A,)))
    planned(fib)
    fib.fail([A])
    assert fib.installed == 0
    fib.restore([A])
    operations = planned(fib)
    assert [type(operation) for operation in operations] == [SetNexthop, SetGroup, SetRoutes]
    assert fib.installed == 1
    assert SetGroup(1, (Member(3),), 1024, 120.0, 0.0) in operations, "of one alone there is no layout to continue"
    assert fib.groups.settling.next is None


def test_who_wants_a_gateway_that_is_down_has_no_group_until_that_is_back() -> None:
    fib = filled(P, Q)
    fib.want([Q], Wanted((C,)))
    planned(fib)
    fib.fail([C])
    fib.want([P], Wanted((C,)))
    assert planned(fib) == [DeleteNexthop(1, returns=True), DeleteNexthop(2), DeleteNexthop(3)]
    assert fib.expected() == {}
    fib.restore([C])
    assert SetRoutes(1, (P,)) in planned(fib)


def test_what_was_refused_is_known_as_such_until_it_is_tried_again() -> None:
    fib = filled()
    fib.refuse(1, [P], 22, "no")
    fib.want([P], Wanted((A, B)))
    assert fib.refused == {P: (22, "no")}
    planned(fib)
    assert fib.refused == {}


@pytest.mark.parametrize("withdrawn", [False, True])
def test_a_group_lost_with_its_link_comes_back_under_its_id_as_it_was(*, withdrawn: bool) -> None:
    fib = filled()
    fib.fail([A, B])
    if withdrawn:
        fib.want([P, Q], Wanted(()))
        assert planned(fib) == []
        assert fib.groups.by_id == {}
    fib.restore([A, B])
    fib.want([P, Q], Wanted((A, B)))
    groups = [operation for operation in planned(fib, 10.0) if isinstance(operation, SetGroup)]
    assert [(group.id, group.like) for group in groups] == [(1, 1), (4, 4)]
    assert {fib.routes[P].id, fib.routes[Q].id} == {1, 4}


def test_the_kernel_has_no_route_to_a_group_without_members() -> None:
    """It deletes both with the last member: an audit shall not miss the routes."""
    fib = filled(P)
    fib.fail([A])
    assert fib.expected().keys() == {P}
    fib.fail([B])
    assert fib.expected() == {}


def test_a_group_lost_a_while_ago_is_remembered() -> None:
    fib = filled(P)
    fib.fail([A, B])
    fib.want([P], Wanted(()))
    planned(fib)
    fib.restore([A, B])
    fib.want([P], Wanted((A, B)))
    groups = [operation for operation in planned(fib, KEPT) if isinstance(operation, SetGroup)]
    assert [(group.id, group.like) for group in groups] == [(1, 1)]


@pytest.mark.parametrize("others", [(), (Q,)])
def test_a_group_lost_long_ago_is_forgotten(others: tuple[Prefix, ...]) -> None:
    """Whatever else is planned in the meantime, and if it is nothing."""
    fib = filled(P)
    fib.fail([A, B])
    fib.want([P], Wanted(()))
    planned(fib)
    fib.restore([A, B])
    if others:
        fib.want(others, Wanted((A, B)))
        planned(fib, KEPT + 1)
    fib.want([P], Wanted((A, B)))
    groups = [operation for operation in planned(fib, KEPT + 1) if isinstance(operation, SetGroup)]
    assert [group.like for group in groups] == [0]


@pytest.mark.parametrize("swept", ["before the change", "after it"])
def test_a_lost_group_of_a_type_that_is_not_wanted_any_more_does_not_come_back(swept: str) -> None:
    fib = filled(P)
    fib.fail([A, B])
    fib.want([P], Wanted(()))
    if swept == "before the change":
        planned(fib)
    fib.reshape(Shape(FibSection(nexthop_id_base=1, groups="hash-threshold")), 1.0)
    planned(fib, 1.0)
    fib.restore([A, B])
    fib.want([P], Wanted((A, B)))
    groups = [operation for operation in planned(fib, 2.0) if isinstance(operation, SetGroup)]
    assert [group.buckets for group in groups] == [0]


def test_a_lost_group_is_forgotten_though_its_type_is_the_wanted_one_again() -> None:
    """Some have lost it, the others have left it for one of the other type: it would come back for nobody."""
    fib, lost, others = filled(*TABLE), TABLE[:300], TABLE[300:]
    fib.fail([A, B])
    fib.want(lost, Wanted(()))
    planned(fib)
    for groups in ("hash-threshold", "resilient"):
        assert fib.reshape(Shape(FibSection(nexthop_id_base=1, groups=groups)), 1.0)
        fib.want(others, Wanted((A, B)))
        planned(fib, 1.0)
    fib.restore([A, B])
    fib.want(lost, Wanted((A, B)))
    planned(fib, 2.0)
    assert all(group.prefixes for group in fib.groups)
    assert fib.groups.by_id[fib.routes[lost[0]].id].legs.keys() == {A, B}


def test_prefixes_of_a_lost_group_that_want_different_things_now_do_not_share_it() -> None:
    fib = filled(*TABLE)
    fib.fail([A, B])
    fib.want(TABLE, Wanted(()))
    planned(fib)
    fib.restore([A, B])
    fib.want(TABLE[:300], Wanted((A, B)))
    fib.want(TABLE[300:], Wanted((A,)))
    planned(fib, 1.0)
    assert fib.routes[TABLE[0]].legs.keys() == {A, B}
    assert fib.routes[TABLE[300]].legs.keys() == {A}


def test_a_group_whose_node_was_alone_waits_for_its_flows_whatever_was_made_afresh() -> None:
    fib = filled(P)
    fib.want([P], Wanted((A,)))
    planned(fib)
    fib.want([P], Wanted((A, B)))
    planned(fib, 1000.0)
    group = fib.routes[P]
    assert group in fib.groups.settling
    fib.made_afresh(group.id)
    assert group in fib.groups.settling


def test_a_lost_group_whose_id_another_one_has_stays_lost() -> None:
    fib = filled(P)
    fib.fail([A, B])
    fib.want([P], Wanted(()))
    planned(fib)
    fib.groups.ids._next = 1  # as once all ids were used
    fib.want([Q], Wanted((C,)))
    planned(fib, 1.0)
    assert fib.routes[Q].id == 1
    fib.want([Q], Wanted((A, B)))  # so that the two want the same
    fib.restore([A, B])
    fib.want([P], Wanted((A, B)))
    planned(fib, 2.0)
    assert fib.groups.by_id[fib.routes[P].id] is fib.routes[P]


def test_new_prefixes_find_a_shared_group_whose_type_is_the_wanted_one_again() -> None:
    fib = filled(*TABLE)
    for kind in ("hash-threshold", "resilient"):
        fib.reshape(Shape(FibSection(nexthop_id_base=1, groups=kind)), 1.0)
    fib.want([P], Wanted((A, B)))
    planned(fib, 1.0)
    assert fib.routes[P] is fib.routes[TABLE[0]]


def test_a_nexthop_goes_with_its_last_group_even_if_that_gets_another_id() -> None:
    fib = filled(P)
    fib.groups.change(fib.routes[P], Wanted((A,)), shared=False)
    operations = fib.renumber(1, 0.0)
    other = fib.routes[P].id
    assert other != 1
    assert operations[-1] == DeleteNexthop(3)
    assert SetRoutes(other, (P,)) in operations
    assert not fib.groups.having(B)


@pytest.mark.parametrize("buckets", [1024, 512])
def test_a_nexthop_goes_with_its_last_group_even_if_somebody_has_taken_it_out_before(buckets: int) -> None:
    fib = filled(P)
    fib.groups.change(fib.routes[P], Wanted((A,)), shared=False)
    nexthops = (KernelNexthop(2, 186, A), KernelNexthop(3, 186, B))
    group = KernelGroup(1, 186, (Member(2),), buckets, 120.0, 0.0)
    operations = mend_objects(fib, KernelObjects((), nexthops, (group,)), 0.0)[1] + planned(fib)
    assert DeleteNexthop(3) in operations
    assert not fib.groups.having(B)


def test_ids_of_what_was_not_expected_are_free_again() -> None:
    fib = filled(P)
    nexthops = (KernelNexthop(2, 186, A), KernelNexthop(3, 186, B), KernelNexthop(20, 186, C))
    groups = tuple(KernelGroup(id, 186, (Member(2), Member(3)), 1024, 120.0, 0.0) for id in (1, 21))
    operations = mend_objects(fib, KernelObjects((), nexthops, groups), 0.0)[1]
    assert operations == [DeleteNexthop(21), DeleteNexthop(20)]
    assert fib.groups.ids.take(20)
    assert fib.groups.ids.take(21)


def test_an_adopted_nexthop_that_is_in_no_group_goes() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    nexthops = (KernelNexthop(2, 186, A), KernelNexthop(3, 186, C))
    group = KernelGroup(1, 186, (Member(2),), 1024, 120.0, 0.0)
    operations = adopt(fib, KernelDump((), nexthops, (group,), {P: 1}, {}), 0.0)
    assert [*operations, *planned(fib)] == [DeleteNexthop(3)]


def test_nexthops_that_are_not_by_both_marks_ours_are_left_alone() -> None:
    """Protocol bgp and an id of the range: zebra has the one, and an operator may have taken the other."""
    ids, bgp, static = FibSection(nexthop_id_base=1).ids, 186, 4
    theirs = (KernelNexthop(1, static, A), KernelNexthop(ids.stop, bgp, B), KernelNexthop(ids.stop + 1, static, C))
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    assert adopt(fib, KernelDump((), theirs, (), {}, {}), 0.0) == []
    assert fib.groups.nexthops == {}
    fib.want([P], Wanted((A,)))
    ours = [operation.id for operation in planned(fib) if isinstance(operation, SetNexthop | SetGroup)]
    assert not {1, ids.stop, ids.stop + 1}.intersection(ours)


def test_what_an_adopted_group_waited_for_is_the_last_that_was_said() -> None:
    """Its nodes have said all, but the last of it is not planned yet: nothing may be done by what was said before."""
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    nexthops = tuple(KernelNexthop(2 + i, 186, gateway) for i, gateway in enumerate((A, B, C)))
    group = KernelGroup(1, 186, tuple(map(Member, (2, 3, 4))), 1024, 120.0, 0.0)
    adopt(fib, KernelDump((), nexthops, (group,), {P: 1}, {}), 0.0)
    for members in ((A,), (A, B)):
        fib.want([P], Wanted(members))
        assert fib.plan(1.0) == []
    others = [parse_prefix(f"172.16.2.{i}/32") for i in range(AT_ONCE + 1)]
    fib.want(others, Wanted((A, B)))
    fib.want([P], Wanted((A, B, C)))
    fib.awaiting.end([A, B, C])
    operations = [*fib.plan(1.0), *planned(fib, 1.0)]
    assert not any(isinstance(each, SetGroup | DeleteNexthop) and each.id == 1 for each in operations)
    assert fib.routes[P].legs.keys() == {A, B, C}


def test_a_drain_changes_weights_only() -> None:
    fib = filled(P)
    fib.drain({A})
    assert planned(fib) == [SetGroup(1, (Member(2, 1), Member(3, 2048)), 1024, 120.0, 0.0)]
    fib.drain(set())
    assert planned(fib) == [SetGroup(1, (Member(2), Member(3)), 1024, 120.0, 0.0)]


def test_the_loss_of_a_drained_member_is_one_operation() -> None:
    """Those that are left weigh the same, as they did before."""
    fib = filled(P)
    fib.want([P], Wanted((A, B, C)))
    planned(fib)
    fib.drain({B})
    planned(fib)
    assert fib.fail([B]) == [DeleteNexthop(3)]
    assert planned(fib) == []


def test_the_lightest_member_is_written_first() -> None:
    fib = filled(P)
    fib.drain({B})
    assert planned(fib) == [SetGroup(1, (Member(3, 1), Member(2, 2048)), 1024, 120.0, 0.0)]


def test_a_refusal_counts_only_for_the_group_that_it_was_about() -> None:
    fib = filled()
    fib.refuse(99, [P], 22, "late news")
    assert fib.refused == {}
    fib.refuse(1, [P], 22, "no")
    assert fib.refused == {P: (22, "no")}
    assert fib.installed == 1
    fib.want([P], Wanted((A, B)))
    assert any(isinstance(operation, SetRoutes) and operation.prefixes == (P,) for operation in planned(fib))
    assert fib.refused == {}


def test_a_refusal_keeps_nobody_from_parting() -> None:
    fib = filled(*TABLE)
    fib.want(TABLE[:1], Wanted((A,)))
    assert planned(fib, quiet=False) == []
    fib.refuse(1, TABLE[1:2], 22, "no")
    assert any(isinstance(operation, SetRoutes) and operation.prefixes == TABLE[:1] for operation in planned(fib))
    assert not fib.has_waiting()


def test_the_work_for_a_change_does_not_grow_with_the_groups() -> None:
    """Counted in lines that Python runs, which no other process disturbs."""

    def lines(groups: int) -> int:
        fib = Fib(Shape(FibSection(nexthop_id_base=1)))
        for i in range(groups):
            fib.want([parse_prefix(f"172.16.{i // 250}.{i % 250}/32")], Wanted((A, B)))
            planned(fib)
        fib.want([P], Wanted((A, C)))
        planned(fib)
        count = 0

        def trace(*_: object) -> object:
            nonlocal count
            count += 1
            return trace

        sys.settrace(trace)  # type: ignore[arg-type]
        try:
            fib.want([P], Wanted((A, B, C)))
            fib.plan(1.0)
            fib.fail([C])
        finally:
            sys.settrace(None)
        return count

    assert lines(400) < 1.2 * lines(20)


def test_a_group_that_gets_another_id_is_not_looked_into_under_the_old_one() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1), widest=256))
    fib.want([P], Wanted((A, B)))
    planned(fib)
    fib.drain({A})
    planned(fib)
    assert list(fib.groups.clinging) == [1]
    fib.renumber(1, 0.0)
    assert 1 not in fib.groups.clinging
    fib.drained({1: {3}})


@pytest.mark.parametrize("most", [1, 100])
def test_few_who_part_have_a_group_each_unless_there_are_groups_enough(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("routerd.core.fib.index.MOST", most)
    fib = filled(*TABLE)
    fib.want(TABLE[:2], Wanted((A,)))
    planned(fib)
    planned(fib)
    assert (fib.routes[TABLE[0]] is fib.routes[TABLE[1]]) is (most == 1)
    assert fib.routes[TABLE[0]] is not fib.routes[TABLE[2]]


def test_prefixes_that_come_one_by_one_and_want_the_same_are_a_table_too() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    for prefix in TABLE:
        fib.want([prefix], Wanted((A, B)))
    planned(fib)
    assert len(fib.groups.by_id) == 1


def test_who_parts_without_room_for_buckets_or_groups_joins_a_group_that_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its flows may move: docs/failover.md says so of a budget that is spent."""
    fib = Fib(Shape(FibSection(nexthop_id_base=1, bucket_budget=2048)))
    for table, members in ((TABLE, (A, B)), (OTHERS, (A, C))):
        fib.want(table, Wanted(members))
        planned(fib)
    first, second = fib.routes[TABLE[0]], fib.routes[OTHERS[0]]
    monkeypatch.setattr("routerd.core.fib.index.MOST", 2)
    fib.want(TABLE[:1], Wanted((A, C)))
    planned(fib)
    assert fib.routes[TABLE[0]] is second
    assert list(fib.groups) == [first, second]


def test_who_parts_without_room_for_buckets_has_a_group_of_its_own_while_there_may_be_more() -> None:
    """Its flows would otherwise move with those of the others, at each of their changes."""
    fib = Fib(Shape(FibSection(nexthop_id_base=1, bucket_budget=2048)))
    for table, members in ((TABLE, (A, B)), (OTHERS, (A, C))):
        fib.want(table, Wanted(members))
        planned(fib)
    fib.want(TABLE[:1], Wanted((A, C)))
    planned(fib)
    assert fib.routes[TABLE[0]] not in (fib.routes[TABLE[1]], fib.routes[OTHERS[0]])


@pytest.mark.parametrize(("prefixes", "like"), [((P,), 1), (TABLE, 0)])
def test_a_member_that_returns_gets_its_buckets_again_in_a_group_of_few_routes(
    prefixes: tuple[Prefix, ...], like: int
) -> None:
    """It is made like itself: flows of the member may be there still."""
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    fib.want(prefixes, Wanted((A, B, C)))
    planned(fib)
    fib.fail([B])
    fib.restore([B])
    (made,) = [operation for operation in planned(fib) if isinstance(operation, SetGroup)]
    assert (made.id, made.like) == (1, like)


def test_a_prefix_waits_from_when_it_is_wanted_until_it_is_planned() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    assert not fib.waits(P)
    fib.want([P], Wanted((A, B)))
    assert fib.waits(P)
    planned(fib)
    assert not fib.waits(P)


VIPS = [parse_prefix(f"172.16.2.{i}/32") for i in range(2 * AT_ONCE)]


def made(operations: list[Operation]) -> list[SetGroup]:
    return [operation for operation in operations if isinstance(operation, SetGroup)]


def test_few_who_part_do_so_bit_by_bit() -> None:
    """Each takes its buckets along, which costs the kernel some milliseconds."""
    fib = filled(*TABLE)
    fib.want(TABLE[:FEW], Wanted((A,)))
    fib.plan(0.0)
    parts = [(len(made(fib.part(0.0))), fib.unfinished) for _ in range(2)]
    assert parts == [(AT_ONCE // LIKE, True), (AT_ONCE // LIKE, False)]
    assert len({fib.routes[prefix] for prefix in TABLE}) == FEW + 1


def test_many_who_part_do_so_one_group_at_a_time() -> None:
    """Two thousand prefixes take some milliseconds: nothing else is done meanwhile."""
    prefixes = [parse_prefix(f"10.{n >> 8}.{n & 255}.0/24") for n in range(16 * MANY)]
    fib = filled(*prefixes)
    for start, gateway in ((0, A), (4 * MANY, B), (8 * MANY, C)):
        fib.want(prefixes[start : start + 4 * MANY], Wanted((gateway,)))
    while fib.behind:
        fib.plan(0.0)
    parts = [(len(made(fib.part(0.0))), fib.unfinished) for _ in range(3)]
    assert parts == [(1, True), (1, True), (1, False)]
    assert len({fib.routes[prefix] for prefix in prefixes}) == 4


def test_as_many_groups_are_made_in_one_plan_whether_prefixes_want_the_same_or_not() -> None:
    fib = filled(P, Q)
    for prefix, gateway in zip(VIPS, (A, B) * AT_ONCE, strict=True):
        fib.want([prefix], Wanted((gateway,)))
    assert len(made(fib.plan(0.0))) == AT_ONCE
    assert len(made(fib.plan(0.0))) == AT_ONCE
    assert not fib.behind


def test_as_many_groups_change_in_one_plan() -> None:
    fib = filled(*VIPS)
    fib.want(VIPS, Wanted((A,)))
    assert len(made(fib.plan(0.0))) == AT_ONCE
    assert fib.behind
    assert len(made(fib.plan(0.0))) == AT_ONCE
    assert not fib.behind


def test_prefixes_that_lead_to_a_gateway_that_is_down_are_planned_to_the_last_one_too() -> None:
    fib = filled(P)
    fib.fail([C])
    fib.want(VIPS, Wanted((C,)))
    fib.want([Q], Wanted((A, B)))
    planned(fib)
    fib.restore([C])
    planned(fib)
    assert fib.expected().keys() == {P, Q, *VIPS}


@pytest.mark.parametrize("count", [BULK, BULK + 1])
def test_a_table_is_what_has_more_prefixes_than_that(count: int) -> None:
    fib = filled(*TABLE[:count])
    assert len(fib.groups.by_id) == (1 if count > BULK else BULK)


@pytest.mark.parametrize("left", [BULK, BULK + 1])
def test_whoever_comes_later_joins_a_table_of_that_size(left: int) -> None:
    fib = filled(*TABLE, Q)
    fib.want([Q, *TABLE][left:], Wanted(()))
    planned(fib)
    fib.want([P], Wanted((A, B)))
    planned(fib)
    assert (fib.routes[P] is fib.routes[TABLE[0]]) is (left > BULK)


def test_of_two_tables_that_lead_to_the_same_nodes_the_larger_one_is_joined() -> None:
    fib = filled(*TABLE)
    larger = [*OTHERS, Q]
    for members in ((A, C), (A, B)):
        fib.want(larger, Wanted(members))
        planned(fib)
    assert fib.routes[Q] is not fib.routes[TABLE[0]]
    fib.want([P], Wanted((A, B)))
    planned(fib)
    assert fib.routes[P] is fib.routes[Q]


def test_who_parts_for_other_nodes_alone_takes_over_no_bucket() -> None:
    fib = filled(*TABLE)
    fib.want(TABLE[:1], Wanted((C, Gateway(parse_address("10.0.0.4"), 2))))
    [group] = made(planned(fib))
    assert (len(group.members), group.like, group.buckets) == (2, 0, 1024)
    assert fib.groups.settling.next is None


def test_who_parts_from_a_node_of_ipv6_takes_its_buckets_along() -> None:
    """Its flows leave their trace there, though it was alone."""
    near, far = (Gateway(parse_address(f"fd00::{i}"), 2) for i in (1, 2))
    table = [parse_prefix(f"fd00:ac10::{i:x}/128") for i in range(BULK + 1)]
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    fib.want(table, Wanted((near,)))
    planned(fib)
    fib.want(table[:1], Wanted((near, far)))
    [group] = made(planned(fib))
    assert group.like == fib.routes[table[1]].id


def test_without_room_for_buckets_who_parts_gets_a_group_that_others_may_join_once_there_are_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1, bucket_budget=1024)))
    fib.want(TABLE, Wanted((A, B)))
    planned(fib)
    monkeypatch.setattr("routerd.core.fib.index.MOST", 1)
    for prefix in TABLE[:2]:
        fib.want([prefix], Wanted((C,)))
        planned(fib)
    assert fib.routes[TABLE[0]] is fib.routes[TABLE[1]] is not fib.routes[TABLE[2]]


def test_a_group_that_lost_members_behind_our_back_kept_track_of_flows_until_then() -> None:
    """Whoever returns gets its buckets, and nobody has to show himself before."""
    fib = filled(P)
    nexthops = (KernelNexthop(2, 186, A), KernelNexthop(3, 186, B))
    group = KernelGroup(1, 186, (Member(2),), 1024, 120.0, 0.0)
    _, operations = mend_objects(fib, KernelObjects((), nexthops, (group,)), 0.0)
    assert operations == [SetGroup(1, (Member(2), Member(3)), 1024, 120.0, 0.0, like=1)]
    assert fib.groups.settling.next is None


def test_groups_without_buckets_have_no_flows_to_wait_for_and_no_layout_to_continue() -> None:
    """However their members come and go."""
    fib = Fib(Shape(FibSection(nexthop_id_base=1, groups="hash-threshold")))
    fib.want([P], Wanted((A,)))
    operations = planned(fib)
    fib.want([P], Wanted((A, B)))
    operations += planned(fib)
    fib.fail([A, B])
    fib.restore([A, B])
    operations += planned(fib)
    assert [len(group.members) for group in made(operations)] == [1, 2, 2]
    assert not any(group.like or group.hold for group in made(operations))
    assert fib.groups.settling.next is None


def test_another_timer_is_no_reason_to_wait_for_the_flows_of_a_node_that_is_alone() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    fib.want([P], Wanted((A,)))
    planned(fib)
    fib.reshape(Shape(FibSection(nexthop_id_base=1, idle_timer=60.0)), 1.0)
    assert planned(fib, 1.0) == [SetGroup(1, (Member(2),), 1024, 60.0, 0.0)]
    assert fib.groups.settling.next is None


def test_drained_members_are_looked_into_once_all_flows_have_shown_themselves() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1), widest=256))
    fib.want([P], Wanted((A,)))
    planned(fib)
    fib.want([P], Wanted((A, B)))
    fib.drain({A})
    planned(fib, 1000.0)
    assert not fib.groups.clinging
    fib.balance(1120.0)
    planned(fib, 1120.0)
    assert list(fib.groups.clinging) == [1]


def test_routes_come_again_to_a_group_that_is_there_and_has_some() -> None:
    fib = filled(P)
    assert fib.resend(1) == [SetRoutes(1, (P,))]
    assert fib.resend(99) == []
    fib.fail([A, B])
    assert fib.resend(1) == []
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    group = KernelGroup(1, 186, (Member(2),), 1024, 120.0, 0.0)
    adopt(fib, KernelDump((), (KernelNexthop(2, 186, A),), (group,), {}, {}), 0.0)
    assert 1 in fib.groups.by_id, "it waits for its node"
    assert fib.resend(1) == []


def test_a_group_is_lost_with_its_last_member_unless_that_is_one_that_the_kernel_refuses() -> None:
    fib = filled(P)
    assert not fib.is_lost(1, ())
    assert fib.is_lost(99, ())
    fib.fail([A, B])
    assert fib.is_lost(1, ())
    assert fib.is_lost(1, [C])
    assert not fib.is_lost(1, [A])


def test_a_shared_group_all_of_whose_routes_are_refused_has_nobody_who_waits() -> None:
    fib = filled(*TABLE)
    fib.want(TABLE[:1], Wanted((A,)))
    fib.plan(0.0)
    assert fib.has_waiting()
    fib.refuse(1, TABLE, 22, "no")
    assert not fib.has_waiting()
    assert fib.part(0.0) == [DeleteNexthop(1), DeleteNexthop(2), DeleteNexthop(3)]


def test_who_parts_gets_as_many_buckets_as_there_were_whatever_is_left_of_the_budget() -> None:
    """Its flows are to find their way back, if it returns."""
    fib = Fib(Shape(FibSection(nexthop_id_base=1, bucket_budget=3 * 1024)))
    for prefixes, members in ((TABLE, (A, B)), ((P,), (A, C))):
        fib.want(prefixes, Wanted(members))
        planned(fib)
    assert fib.groups.shape.buckets(fib.groups.buckets, 1) < 1024
    fib.want(TABLE[:1], Wanted((C,)))
    [group] = made(planned(fib))
    assert group.buckets == 1024


def test_a_nexthop_that_has_another_group_by_now_stays() -> None:
    fib = filled(P)
    fib.groups.change(fib.routes[P], Wanted((A,)), shared=False)
    nexthops = (KernelNexthop(2, 186, A), KernelNexthop(3, 186, B))
    group = KernelGroup(1, 186, (Member(2),), 1024, 120.0, 0.0)
    fib.want([Q], Wanted((B,)))
    operations = mend_objects(fib, KernelObjects((), nexthops, (group,)), 0.0)[1] + planned(fib)
    assert not any(isinstance(operation, DeleteNexthop) for operation in operations)
    assert fib.groups.nexthops == {A: 2, B: 3}


def seen(*groups: KernelGroup) -> KernelObjects:
    return KernelObjects((), (KernelNexthop(2, 186, A), KernelNexthop(3, 186, B)), groups)


def test_a_group_that_somebody_has_made_of_another_size_is_made_anew_and_its_routes_come_again() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    fib.want([P], Wanted((A, B)))
    planned(fib)
    wrong, operations = mend_objects(fib, seen(KernelGroup(1, 186, (Member(2), Member(3)), 512, 120.0, 0.0)), 0.0)
    assert [each.kind for each in wrong] == ["group_resized"]
    assert operations == [DeleteNexthop(1)]
    assert planned(fib) == [SetGroup(1, (Member(2), Member(3)), 1024, 120.0, 0.0), SetRoutes(1, (P,))]


def test_of_damaged_groups_those_of_few_prefixes_come_first() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    fib.want(TABLE, Wanted((A, B)))
    planned(fib)
    fib.want([P], Wanted((B, A)))
    planned(fib)
    table, alone = fib.routes[TABLE[0]], fib.routes[P]
    assert (table.users, alone.users) == (len(TABLE), 1)
    _, operations = mend_objects(fib, seen(), 0.0)
    assert [each.id for each in operations if isinstance(each, SetGroup)] == [alone.id, table.id]


@pytest.mark.parametrize(("kind", "idle_timer"), [("resilient", 60.0), ("hash-threshold", 120.0)])
def test_timers_of_adopted_groups_are_no_drift(kind: str, idle_timer: float) -> None:
    """They get those that are wanted when their flows are known; or their prefixes move away."""
    fib = Fib(Shape(FibSection(nexthop_id_base=1, groups=kind)))  # type: ignore[arg-type]
    found = seen(KernelGroup(1, 186, (Member(2), Member(3)), 1024, idle_timer, 0.0))
    adopt(fib, KernelDump((), found.nexthops, found.groups, {P: 1}, {}), 0.0)
    assert mend_objects(fib, found, 1.0) == ([], [])
    assert not fib.groups.changed


def test_drained_members_stay_where_no_other_one_is_left() -> None:
    """All of a group's were drained while one looked."""
    fib = Fib(Shape(FibSection(nexthop_id_base=1), widest=256))
    fib.want([P], Wanted((A, B)))
    fib.drain({A})
    planned(fib)
    fib.drain({A, B})
    fib.drained({1: set()})
    planned(fib)
    assert fib.routes[P].legs.keys() == {A, B}
    assert not fib.routes[P].emptied
    fib.drain({A})
    planned(fib)
    fib.drained({1: {3}})
    planned(fib)
    assert fib.routes[P].legs.keys() == {B}


def test_a_member_that_was_drained_once_keeps_its_flows_when_it_is_drained_again() -> None:
    fib = emptied()
    fib.drain(set())
    planned(fib)
    assert fib.routes[P].legs == {A: 1, B: 1}
    fib.drain({A})
    planned(fib)
    assert fib.routes[P].legs.keys() == {A, B}


def test_a_drained_member_serves_again_when_no_other_is_left() -> None:
    fib = emptied()
    fib.fail([B])
    (operation,) = [each for each in planned(fib) if isinstance(each, SetGroup)]
    assert operation.members == (Member(2),)


def emptied() -> Fib:
    """Return a FIB in which A is drained, and has left the group of P."""
    fib = Fib(Shape(FibSection(nexthop_id_base=1), widest=256))
    fib.want([P], Wanted((A, B)))
    fib.drain({A})
    planned(fib)
    fib.drained({1: {3}})
    planned(fib)
    assert fib.routes[P].legs.keys() == {B}
    return fib


@pytest.mark.parametrize("count", [2, FEW + 2])
def test_the_last_ones_of_a_group_keep_it(count: int) -> None:
    """Those that wanted something else than they are gone, for the kernel has refused them."""
    fib = filled(*TABLE)
    group = fib.routes[TABLE[0]]
    fib.want(TABLE[:count], Wanted((A,)))
    fib.plan(0.0)
    fib.refuse(group.id, TABLE[count:], 22, "no")
    while fib.has_waiting():
        fib.part(0.0)
    assert group.prefixes
    assert {fib.routes[prefix].legs.keys() == {A} for prefix in TABLE[:count]} == {True}
