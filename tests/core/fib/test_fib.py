"""The planner alone: which operations lead from what is to what is wanted."""

from __future__ import annotations

from routerd.config.model import FibSection
from routerd.core.fib.fib import Fib
from routerd.core.fib.model import Shape
from routerd.core.message import (
    DeleteNexthop,
    DeleteRoutes,
    Gateway,
    Member,
    Operation,
    SetGroup,
    SetNexthop,
    SetRoutes,
)
from routerd.core.route import parse_address, parse_prefix

A, B, C = (Gateway(parse_address(f"10.0.0.{i}"), 2) for i in (1, 2, 3))
P, Q = parse_prefix("172.16.1.1/32"), parse_prefix("172.16.1.2/32")


def planned(fib: Fib, *, quiet: bool = True) -> list[Operation]:
    return fib.plan(0.0, quiet=quiet)


def filled() -> Fib:
    """P and Q go to A and B, by group 1 of nexthops 2 and 3."""
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    fib.want([P, Q], (A, B))
    planned(fib)
    return fib


def test_objects_come_before_what_points_at_them_and_go_after_it() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    fib.want([P, Q], (A, B))
    nexthops = [SetNexthop(2, A), SetNexthop(3, B)]
    group = SetGroup(1, (Member(2), Member(3)), 1024, 120.0, 0.0)
    assert planned(fib) == [*nexthops, group, SetRoutes(1, (P, Q))]
    fib.want([P, Q], ())
    assert planned(fib) == [DeleteRoutes((P, Q)), DeleteNexthop(1), DeleteNexthop(2), DeleteNexthop(3)]
    assert fib.groups.buckets == 0


def test_a_common_change_is_one_replacement() -> None:
    fib = filled()
    fib.want([P], (A, B, C))
    fib.want([Q], (A, B, C))
    assert [type(operation) for operation in planned(fib)] == [SetNexthop, SetGroup]


def test_who_parts_gets_a_group_like_the_one_it_leaves_and_balance_later() -> None:
    fib = filled()
    fib.want([P], (A, B, C))
    nexthop, group, routes = planned(fib)
    assert nexthop == SetNexthop(5, C)
    assert group == SetGroup(4, (Member(2), Member(3), Member(5)), 1024, 120.0, 0.0, like=1)
    assert routes == SetRoutes(4, (P,))
    assert fib.balance(119.0) == []
    assert fib.balance(120.0) == [SetGroup(4, (Member(2), Member(3), Member(5)), 1024, 120.0, 0.0)]
    assert fib.balance(500.0) == []


def test_those_who_leave_a_member_behind_share_the_copy() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    third = parse_prefix("172.16.1.3/32")
    fib.want([P, Q, third], (A, B, C))
    planned(fib)
    fib.want([P], (A, B))
    [group, routes] = planned(fib)
    fib.want([Q], (A, B))
    assert planned(fib) == [SetRoutes(group.id, (Q,))]  # type: ignore[union-attr]
    assert routes == SetRoutes(group.id, (P,))  # type: ignore[union-attr]


def test_moves_wait_for_quiet_and_additions_do_not() -> None:
    fib = filled()
    fib.want([P], (A,))
    assert planned(fib, quiet=False) == []
    assert fib.has_waiting()
    other = parse_prefix("172.16.1.9/32")
    fib.want([other], (A, B))
    assert planned(fib, quiet=False) == [SetRoutes(1, (other,))]
    assert [type(operation) for operation in planned(fib)] == [SetGroup, SetRoutes]


def test_a_failure_is_one_operation_and_what_follows_in_the_rib_is_none() -> None:
    fib = filled()
    assert fib.fail([A]) == [DeleteNexthop(2)]
    assert fib.fail([A]) == []
    assert planned(fib) == []
    fib.want([P, Q], (B,))
    assert planned(fib) == []
    fib.forget([A])
    assert fib.groups.down == set()


def test_the_last_member_lost_and_back_brings_the_routes_again() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    fib.want([P], (A,))
    planned(fib)
    fib.fail([A])
    assert fib.installed == 0
    assert [type(operation) for operation in fib.restore([A], 0.0)] == [SetNexthop, SetGroup, SetRoutes]
    assert fib.installed == 1


def test_a_drain_changes_weights_only() -> None:
    fib = filled()
    [group] = fib.drain({A}, 0.0)
    assert group == SetGroup(1, (Member(2, 1), Member(3, 2048)), 1024, 120.0, 0.0)
    assert fib.drain(set(), 0.0) == [SetGroup(1, (Member(2), Member(3)), 1024, 120.0, 0.0)]


def test_the_lightest_member_is_written_first() -> None:
    fib = filled()
    [group] = fib.drain({B}, 0.0)
    assert group == SetGroup(1, (Member(3, 1), Member(2, 2048)), 1024, 120.0, 0.0)


def test_a_refusal_counts_only_for_the_group_that_it_was_about() -> None:
    fib = filled()
    fib.refuse(99, [P], 22, "late news")
    assert fib.refused == {}
    fib.refuse(1, [P], 22, "no")
    assert fib.refused == {P: (22, "no")}
    assert fib.installed == 1
    fib.want([P], (A, B))
    assert planned(fib) == [SetRoutes(1, (P,))]
    assert fib.refused == {}
