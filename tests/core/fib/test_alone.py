"""A member that was alone: its flows leave no trace in the buckets, and none of them may suffer when others join."""

from __future__ import annotations

import pytest

from routerd.config.model import FibSection
from routerd.core.fib.adopt import adopt
from routerd.core.fib.fib import Fib
from routerd.core.fib.groups import GLANCE, PATIENCE, YOUTH
from routerd.core.fib.model import Shape
from routerd.core.message import (
    DeleteNexthop,
    Gateway,
    KernelDump,
    KernelGroup,
    KernelNexthop,
    Member,
    Operation,
    SetGroup,
    SetNexthop,
    SetRoutes,
)
from routerd.core.route import parse_address, parse_prefix

A, B, C = (Gateway(parse_address(f"10.0.0.{i}"), 2) for i in (1, 2, 3))
A6, B6 = (Gateway(parse_address(f"fd00::{i}"), 2) for i in (1, 2))
P, Q = parse_prefix("172.16.1.1/32"), parse_prefix("172.16.1.2/32")
IDLE = 120.0


class Life:
    """A FIB whose clock the test sets; P and Q go to A alone, by group 1 of nexthop 2, and have done so for long."""

    def __init__(self) -> None:
        self.fib = Fib(Shape(FibSection(nexthop_id_base=1)))
        self.weights: dict[int, dict[int, int]] = {}
        self.told: list[Operation] = []
        self.at(0.0, P, Q, members=(A,))
        self.told.clear()

    def take(self, operations: list[Operation]) -> None:
        self.told += operations
        for each in operations:
            if isinstance(each, SetGroup):
                self.weights[each.id] = {member.id: member.weight for member in each.members}

    def at(self, now: float, *prefixes: bytes, members: tuple[Gateway, ...] = ()) -> None:
        """Let the time come; then these prefixes go to these members."""
        self.take(self.fib.balance(now))
        self.fib.want(prefixes, members)  # type: ignore[arg-type]
        self.take(self.fib.plan(now, quiet=True))

    def heavy(self, group: int = 1) -> set[int]:
        """Return the members that want buckets."""
        most = max(self.weights[group].values())
        return {id for id, weight in self.weights[group].items() if weight == most}


@pytest.fixture
def life() -> Life:
    return Life()


def test_who_joins_wants_no_bucket_until_all_flows_have_shown_themselves(life: Life) -> None:
    life.at(1000.0, P, Q, members=(A, B))
    assert life.told == [SetNexthop(3, B), SetGroup(1, (Member(3, 1), Member(2, 2048)), 1024, IDLE, 0.0)]
    assert 1 in life.fib.groups.rebalance
    life.at(1000.0 + IDLE - 1)
    assert life.heavy() == {2}
    life.at(1000.0 + IDLE)
    assert life.told[2:] == [SetGroup(1, (Member(2), Member(3)), 1024, IDLE, 0.0)]
    assert life.fib.groups.rebalance == {}


def test_a_third_one_does_not_postpone_it(life: Life) -> None:
    life.at(1000.0, P, Q, members=(A, B))
    life.at(1100.0, P, Q, members=(A, B, C))
    assert life.weights[1] == {2: 4096, 3: 1, 4: 1}
    life.at(1000.0 + IDLE)
    assert life.weights[1] == {2: 1, 3: 1, 4: 1}
    assert not any(isinstance(each, SetRoutes) for each in life.told)


@pytest.mark.parametrize("drained", [A, B])
def test_a_drain_meanwhile_comes_when_the_flows_are_known(life: Life, drained: Gateway) -> None:
    life.at(1000.0, P, Q, members=(A, B))
    life.take(life.fib.drain({drained}, 1001.0))
    assert life.heavy() == {2}
    life.at(1000.0 + IDLE)
    assert life.heavy() == ({3} if drained is A else {2})
    life.take(life.fib.drain(set(), 2000.0))
    assert life.heavy() == {2, 3}


@pytest.mark.parametrize("how", ["withdrawn", "lost"])
def test_who_leaves_meanwhile_and_joins_again_waits_again(life: Life, how: str) -> None:
    life.at(1000.0, P, Q, members=(A, B))
    if how == "lost":
        life.take(life.fib.fail([B]))
        life.take(life.fib.restore([B], 1100.0))
    else:
        life.at(1050.0, P, Q, members=(A,))
        life.at(1100.0, P, Q, members=(A, B))
    life.at(1000.0 + IDLE)
    assert len(life.heavy()) == 1
    life.at(1100.0 + IDLE)
    assert len(life.heavy()) == 2
    assert not any(isinstance(each, SetRoutes) for each in life.told)


def test_a_group_of_several_that_shrinks_to_one_is_no_different(life: Life) -> None:
    life.at(1000.0, P, Q, members=(A, B, C))
    life.at(2000.0)
    assert len(life.heavy()) == 3
    life.take(life.fib.fail([A, C]))
    life.told.clear()
    life.take(life.fib.restore([A, C], 3000.0))
    assert [type(each) for each in life.told] == [SetNexthop, SetNexthop, SetGroup]
    assert life.heavy() == {3}
    life.at(3000.0 + IDLE)
    assert len(life.heavy()) == 3


def test_who_was_alone_leaves_and_nobody_waits(life: Life) -> None:
    life.at(1000.0, P, Q, members=(A, B, C))
    life.take(life.fib.fail([A]))
    life.at(1001.0, P, Q, members=(B, C))
    assert life.fib.groups.by_id[1].legs == {B: 1, C: 1}
    assert life.fib.groups.rebalance == {}


def test_a_prefix_that_parts_from_it_takes_no_buckets_along(life: Life) -> None:
    life.at(1000.0, P, members=(A, B))
    nexthop, group, routes = life.told
    assert nexthop == SetNexthop(4, B)
    assert group == SetGroup(3, (Member(4, 1), Member(2, 2048)), 1024, IDLE, 0.0)
    assert routes == SetRoutes(3, (P,))
    life.at(1050.0, P, members=(A, C))
    assert life.heavy(3) == {2}
    life.at(1000.0 + IDLE)
    assert len(life.heavy(3)) == 2


def test_prefixes_that_come_to_be_alone_share_the_group(life: Life) -> None:
    life.at(1000.0, P, members=(A, B))
    life.at(2000.0)
    life.at(2001.0, P, members=(A,))
    assert life.fib.routes[P] is not life.fib.routes[Q] or len(life.fib.groups.by_id) == 1
    life.at(3000.0, P, Q, members=(A, B))
    assert {len(life.heavy(group.id)) for group in life.fib.groups} == {1}


def test_ipv6_flows_are_tracked_all_the_same() -> None:
    life = Life()
    vip = parse_prefix("fd00:ac10::1/128")
    life.at(0.0, vip, members=(A6,))
    life.at(1000.0, vip, members=(A6, B6))
    group = life.fib.routes[vip].id
    assert set(life.weights[group].values()) == {1}
    assert life.fib.groups.rebalance == {}


class TestYoung:
    """Nodes announce a new address one after the other, within seconds."""

    R = parse_prefix("172.16.1.9/32")

    def test_without_flows_it_is_balanced_at_once(self, life: Life) -> None:
        life.at(1000.0, self.R, members=(A,))  # by the old group 1, which serves P and Q
        life.at(1000.0 + YOUTH / 2, self.R, members=(A, B))
        group = life.fib.routes[self.R].id
        assert group != 1
        assert life.heavy(group) == {2}
        now = 1000.0 + YOUTH / 2 * (1 + 1 / PATIENCE)
        assert life.fib.groups.due_glances(now - GLANCE) == []
        assert life.fib.groups.due_glances(now) == [group]
        life.take(life.fib.unused([group], now))
        assert len(life.heavy(group)) == 2

    def test_with_flows_it_waits_for_them(self, life: Life) -> None:
        life.at(1000.0, self.R, members=(B,))
        life.at(1000.1, self.R, members=(A, B))
        group = life.fib.routes[self.R].id
        assert life.fib.groups.due_glances(1000.1 + GLANCE) == [group]
        life.at(1000.0 + IDLE)
        assert len(life.heavy(group)) == 1
        life.at(1000.1 + IDLE)
        assert len(life.heavy(group)) == 2

    def test_an_older_one_is_not_looked_into(self, life: Life) -> None:
        life.at(1000.0, self.R, members=(B,))
        life.at(1000.0 + YOUTH, self.R, members=(A, B))
        assert life.fib.groups.due_glances(2000.0) == []
        life.take(life.fib.unused([life.fib.routes[self.R].id], 1003.0))
        assert len(life.heavy(life.fib.routes[self.R].id)) == 1


def test_a_new_router_completes_it() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    nexthops = (KernelNexthop(2, 186, A), KernelNexthop(3, 186, B))
    group = KernelGroup(1, 186, (Member(3, 1), Member(2, 2048)), 1024, IDLE, 0.0)
    assert adopt(fib, KernelDump((), nexthops, (group,), {P: 1}, ()), 1000.0) == []
    fib.settle([A, B])
    fib.want([P], (A, B, C))
    [_, joined] = fib.plan(1001.0, quiet=True)
    assert isinstance(joined, SetGroup)
    assert [member.weight for member in joined.members] == [1, 1, 4096]
    assert fib.balance(1000.0 + IDLE - 1) == []
    [balanced] = fib.balance(1000.0 + IDLE)
    assert isinstance(balanced, SetGroup)
    assert [member.weight for member in balanced.members] == [1, 1, 1]


def test_the_kernels_objects_are_as_few_as_the_members(life: Life) -> None:
    assert life.weights == {1: {2: 1}}
    assert life.fib.fail([A]) == [DeleteNexthop(2)]
