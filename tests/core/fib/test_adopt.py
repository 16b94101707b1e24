"""What a new router makes of the objects that an earlier one has left."""

from __future__ import annotations

import pytest

from routerd.config.model import FibSection
from routerd.core.fib.adopt import adopt
from routerd.core.fib.fib import Fib
from routerd.core.fib.groups import STEPWISE
from routerd.core.fib.model import Shape
from routerd.core.message import (
    RTPROT_BGP,
    DeleteNexthop,
    Gateway,
    KernelDump,
    KernelGroup,
    KernelNexthop,
    Member,
    Operation,
    SetGroup,
)
from routerd.core.route import Prefix, parse_address, parse_prefix
from routerd.core.wanted import Wanted

A, B, C = (Gateway(parse_address(f"10.0.0.{i}"), 2) for i in (1, 2, 3))
P, Q = parse_prefix("172.16.1.1/32"), parse_prefix("172.16.1.2/32")
TWO = (KernelNexthop(2, RTPROT_BGP, A), KernelNexthop(3, RTPROT_BGP, B))


def adopted(
    *groups: KernelGroup,
    nexthops: tuple[KernelNexthop, ...] = TWO,
    routes: dict[Prefix, int] | None = None,
    kind: str = "resilient",
) -> tuple[Fib, list[Operation]]:
    """Return a FIB that has taken over these objects at the time 0, and what it removes."""
    fib = Fib(Shape(FibSection(nexthop_id_base=1, groups=kind)))  # type: ignore[arg-type]
    found = {P: 1} if routes is None else routes
    return fib, adopt(fib, KernelDump((), nexthops, groups, found, {}), 0.0)


def resilient(*members: Member, idle_timer: float = 120.0, unbalanced_timer: float = 0.0) -> KernelGroup:
    return KernelGroup(1, RTPROT_BGP, members, 1024, idle_timer, unbalanced_timer)


@pytest.mark.parametrize(
    ("kind", "buckets", "routes", "shared"),
    [
        ("resilient", 1024, {P: 1}, False),
        ("resilient", 1024, {P: 1, Q: 1}, True),
        ("resilient", 0, {P: 1, Q: 1}, False),
        ("hash-threshold", 0, {P: 1}, True),
        ("hash-threshold", 1024, {P: 1, Q: 1}, False),
    ],
)
def test_new_prefixes_may_join_a_group_of_several_or_one_without_buckets_unless_its_type_is_not_wanted(
    kind: str, buckets: int, routes: dict[Prefix, int], shared: bool
) -> None:
    fib, _ = adopted(KernelGroup(1, RTPROT_BGP, (Member(2), Member(3)), buckets), routes=routes, kind=kind)
    assert fib.routes[P].shared is shared
    assert (fib.groups.find(Wanted((A, B))) is not None) is shared


@pytest.mark.parametrize("timers", [(60.0, 0.0), (120.0, 30.0)])
def test_a_group_gets_the_timers_that_are_wanted_when_its_flows_have_shown_themselves(
    timers: tuple[float, float],
) -> None:
    idle_timer, unbalanced_timer = timers
    group = resilient(Member(2), Member(3), idle_timer=idle_timer, unbalanced_timer=unbalanced_timer)
    fib, _ = adopted(group)
    assert fib.routes[P] in fib.groups.settling
    fib.want([P], Wanted((A, B)))
    fib.awaiting.end([A, B])
    assert fib.plan(1.0) == []
    fib.balance(120.0)
    assert fib.plan(120.0) == [SetGroup(1, (Member(2), Member(3)), 1024, 120.0, 0.0)]


def test_a_group_whose_nodes_are_not_back_in_time_gets_the_timers_when_they_are() -> None:
    fib, _ = adopted(resilient(Member(2), Member(3), idle_timer=60.0))
    fib.want([P], Wanted((A, B)))
    fib.balance(120.0)
    assert fib.groups.settling.next is None, "no clock is asked for what waits for nodes"
    assert fib.plan(121.0) == []
    fib.awaiting.end([A, B])
    assert fib.plan(500.0) == [SetGroup(1, (Member(2), Member(3)), 1024, 120.0, 0.0)]
    assert fib.routes[P] not in fib.groups.settling


@pytest.mark.parametrize("unbalanced_timer", [0.0, 30.0])
def test_a_group_that_is_as_wanted_has_nothing_to_wait_for(unbalanced_timer: float) -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1, unbalanced_timer=unbalanced_timer)))
    group = resilient(Member(2), Member(3), idle_timer=119.99, unbalanced_timer=unbalanced_timer)
    assert adopt(fib, KernelDump((), TWO, (group,), {P: 1}, {}), 0.0) == []
    assert fib.groups.settling.next is None, "the kernel counts in hundredths of a second"


def test_of_two_objects_of_a_gateway_one_is_used_and_what_leads_to_no_gateway_is_of_no_use() -> None:
    others = (
        KernelNexthop(4, RTPROT_BGP, A),
        KernelNexthop(5, RTPROT_BGP, None, 2),
        KernelNexthop(6, RTPROT_BGP, None),
    )
    fib, operations = adopted(resilient(Member(2), Member(3)), nexthops=(*TWO, *others))
    assert fib.groups.nexthops == {A: 2, B: 3}
    assert operations == [DeleteNexthop(4), DeleteNexthop(5), DeleteNexthop(6)]


def test_an_object_that_a_route_leads_to_without_a_group_stays() -> None:
    """The kernel would delete the route along with it."""
    nexthops = (*TWO, KernelNexthop(4, RTPROT_BGP, C))
    fib, operations = adopted(resilient(Member(2), Member(3)), nexthops=nexthops, routes={P: 1, Q: 4})
    assert operations == []
    assert fib.groups.nexthops[C] == 4


def test_a_route_to_something_else_is_led_to_a_group() -> None:
    fib, _ = adopted(resilient(Member(2), Member(3)), routes={P: 1, Q: 99})
    fib.want([P, Q], Wanted((A, B)))
    fib.awaiting.end([A, B])
    operations = [*fib.plan(1.0), *fib.part(1.0)]
    [group] = [operation for operation in operations if isinstance(operation, SetGroup)]
    assert fib.routes[Q].id == group.id not in (1, 99)
    assert not any(isinstance(each, DeleteNexthop) for each in operations)


def test_groups_that_are_not_by_both_marks_ours_are_left_alone() -> None:
    """Protocol bgp and an id of the range: zebra has the one, and an operator may have taken the other."""
    ids = FibSection(nexthop_id_base=1).ids
    theirs = (KernelGroup(1, 4, (Member(2),)), KernelGroup(ids.stop, RTPROT_BGP, (Member(2),)))
    fib, operations = adopted(*theirs, routes={})
    assert list(fib.groups) == []
    assert operations == [DeleteNexthop(2), DeleteNexthop(3)]


@pytest.mark.parametrize("count", [STEPWISE, STEPWISE + 1])
def test_a_member_that_returns_gets_its_buckets_again_in_a_group_of_so_many_routes(count: int) -> None:
    """It takes steps, each of which costs the kernel what there are routes."""
    routes = dict.fromkeys((parse_prefix(f"172.16.2.{number}/32") for number in range(count)), 1)
    fib, _ = adopted(
        resilient(Member(2), Member(3), Member(4)), nexthops=(*TWO, KernelNexthop(4, RTPROT_BGP, C)), routes=routes
    )
    fib.want(list(routes), Wanted((A, B, C)))
    fib.awaiting.end([A, B, C])
    fib.plan(1.0)
    fib.fail([C])
    fib.restore([C])
    [made] = [operation for operation in fib.plan(2.0) if isinstance(operation, SetGroup)]
    assert made.like == (1 if count <= STEPWISE else 0)
