"""A member that was alone: its flows leave no trace in the buckets, and none of them may suffer when others join."""

from __future__ import annotations

import pytest

from routerd.config.model import FibSection
from routerd.core.fib.adopt import adopt
from routerd.core.fib.fib import Fib
from routerd.core.fib.model import Shape
from routerd.core.fib.placement import BULK
from routerd.core.fib.settling import LOOK, YOUTH
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
from routerd.core.wanted import Wanted

A, B, C = (Gateway(parse_address(f"10.0.0.{i}"), 2) for i in (1, 2, 3))
A6, B6 = (Gateway(parse_address(f"fd00::{i}"), 2) for i in (1, 2))
P, Q = parse_prefix("172.16.1.1/32"), parse_prefix("172.16.1.2/32")
TABLE = [parse_prefix(f"172.17.{i // 250}.{i % 250}/32") for i in range(BULK + 1)]
IDLE = 120.0


class Life:
    """A FIB whose clock the test sets; P goes to A alone, by group 1 of nexthop 2, and has done so for long."""

    def __init__(self) -> None:
        self.fib = Fib(Shape(FibSection(nexthop_id_base=1)))
        self.weights: dict[int, dict[int, int]] = {}
        self.held: dict[int, bool] = {}
        self.told: list[Operation] = []
        self.at(0.0, P, members=(A,))
        self.told.clear()

    def take(self, operations: list[Operation]) -> None:
        self.told += operations
        for each in operations:
            if isinstance(each, SetGroup):
                self.weights[each.id] = {member.id: member.weight for member in each.members}
                self.held[each.id] = each.hold

    def at(self, now: float, *prefixes: bytes, members: tuple[Gateway, ...] = ()) -> None:
        """Let the time come; then these prefixes go to these members."""
        self.fib.balance(now)
        self.fib.want(prefixes, Wanted(members))  # type: ignore[arg-type]
        self.take(self.fib.plan(now))
        self.take(self.fib.part(now))

    def heavy(self, group: int = 1) -> set[int]:
        """Return the members that may get buckets: none while they are held."""
        most = max(self.weights[group].values())
        return {id for id, weight in self.weights[group].items() if weight == most and not self.held[group]}

    @property
    def settled(self) -> bool:
        return self.fib.groups.settling.next is None


@pytest.fixture
def life() -> Life:
    return Life()


def test_who_joins_gets_no_bucket_until_all_flows_have_shown_themselves(life: Life) -> None:
    life.at(1000.0, P, members=(A, B))
    assert life.told == [SetNexthop(3, B), SetGroup(1, (Member(2), Member(3)), 1024, IDLE, 0.0, hold=True)]
    assert not life.settled
    life.at(1000.0 + IDLE - 1)
    assert life.heavy() == set()
    life.at(1000.0 + IDLE)
    assert life.told[2:] == [SetGroup(1, (Member(2), Member(3)), 1024, IDLE, 0.0)]
    assert life.settled


def test_a_third_one_does_not_postpone_it(life: Life) -> None:
    life.at(1000.0, P, members=(A, B))
    life.at(1100.0, P, members=(A, B, C))
    assert life.heavy() == set()
    life.at(1000.0 + IDLE)
    assert life.heavy() == {2, 3, 4}
    assert not any(isinstance(each, SetRoutes) for each in life.told)


@pytest.mark.parametrize("drained", [A, B])
def test_a_drain_meanwhile_comes_when_the_flows_are_known(life: Life, drained: Gateway) -> None:
    life.at(1000.0, P, members=(A, B))
    life.fib.drain({drained})
    life.at(1001.0)
    assert life.heavy() == set()
    life.at(1000.0 + IDLE)
    assert life.heavy() == ({3} if drained is A else {2})
    life.fib.drain(set())
    life.at(2000.0)
    assert life.heavy() == {2, 3}


@pytest.mark.parametrize("how", ["withdrawn", "lost"])
def test_who_leaves_meanwhile_and_joins_again_waits_again(life: Life, how: str) -> None:
    life.at(1000.0, P, members=(A, B))
    if how == "lost":
        life.take(life.fib.fail([B]))
        life.fib.restore([B])
        life.at(1100.0)
    else:
        life.at(1050.0, P, members=(A,))
        life.at(1100.0, P, members=(A, B))
    life.at(1000.0 + IDLE)
    assert life.heavy() == set()
    life.at(1100.0 + IDLE)
    assert len(life.heavy()) == 2
    assert not any(isinstance(each, SetRoutes) for each in life.told)


def test_a_group_of_several_that_shrinks_to_one_is_no_different(life: Life) -> None:
    life.at(1000.0, P, members=(A, B, C))
    life.at(2000.0)
    assert len(life.heavy()) == 3
    life.take(life.fib.fail([A, C]))
    life.told.clear()
    life.fib.restore([A, C])
    life.at(3000.0)
    assert [type(each) for each in life.told] == [SetNexthop, SetNexthop, SetGroup]
    assert life.heavy() == set()
    life.at(3000.0 + IDLE)
    assert len(life.heavy()) == 3


def test_who_was_alone_leaves_and_nobody_waits(life: Life) -> None:
    life.at(1000.0, P, members=(A, B, C))
    life.take(life.fib.fail([A]))
    life.at(1001.0, P, members=(B, C))
    assert life.fib.groups.by_id[1].legs == {B: 1, C: 1}
    assert life.heavy() == {3, 4}
    assert life.settled


def test_who_was_alone_wants_no_flow_any_more_and_nobody_waits(life: Life) -> None:
    life.at(1000.0, P, members=(A, B))
    assert life.heavy() == set()
    life.at(1001.0, P, members=(B, C))
    assert life.heavy() == {3, 4}
    assert life.settled


class TestTable:
    """So many prefixes that they share a group."""

    @pytest.fixture
    def table(self) -> Life:
        life = Life()
        life.at(1.0, *TABLE, members=(A,))
        life.told.clear()
        return life

    def test_a_prefix_that_parts_from_it_takes_all_flows_along(self, table: Life) -> None:
        one = TABLE[0]
        table.at(1000.0, one, members=(A, B))
        alone, nexthop, joined, routes = table.told
        assert alone == SetGroup(4, (Member(2),), 1024, IDLE, 0.0)
        assert nexthop == SetNexthop(5, B)
        assert joined == SetGroup(4, (Member(2), Member(5)), 1024, IDLE, 0.0, hold=True)
        assert routes == SetRoutes(4, (one,))
        table.at(1050.0, one, members=(A, C))
        assert table.heavy(4) == set()
        table.at(1000.0 + IDLE)
        assert len(table.heavy(4)) == 2

    def test_a_common_change_touches_no_route(self, table: Life) -> None:
        table.at(1000.0, *TABLE, members=(A, B))
        assert [type(each) for each in table.told] == [SetNexthop, SetGroup]
        assert table.held[3]


def test_ipv6_flows_are_tracked_all_the_same() -> None:
    life = Life()
    vip = parse_prefix("fd00:ac10::1/128")
    life.at(0.0, vip, members=(A6,))
    life.at(1000.0, vip, members=(A6, B6))
    assert len(life.heavy(life.fib.routes[vip].id)) == 2
    assert life.settled


class TestYoung:
    """Nodes announce a new address one after the other, within seconds."""

    def test_without_a_packet_it_is_balanced_at_once(self, life: Life) -> None:
        life.at(1000.0, Q, members=(A,))
        life.at(1000.0 + YOUTH / 2, Q, members=(A, B))
        group = life.fib.routes[Q].id
        assert life.heavy(group) == set()
        now = 1000.0 + YOUTH
        assert life.fib.groups.settling.looks_due(now - LOOK) == []
        assert life.fib.groups.settling.looks_due(now) == [group]
        life.fib.unused([group])
        life.at(now)
        assert len(life.heavy(group)) == 2
        assert life.settled

    def test_with_flows_it_waits_for_them(self, life: Life) -> None:
        life.at(1000.0, Q, members=(B,))
        life.at(1000.1, Q, members=(A, B))
        group = life.fib.routes[Q].id
        assert life.fib.groups.settling.looks_due(1000.1 + LOOK) == [group]
        life.at(1000.0 + IDLE)
        assert life.heavy(group) == set()
        life.at(1000.1 + IDLE)
        assert len(life.heavy(group)) == 2

    def test_who_parts_from_a_young_table_is_as_young(self, life: Life) -> None:
        life.at(1000.0, *TABLE, members=(A,))
        life.at(1001.0, TABLE[0], members=(A, B))
        assert life.fib.groups.settling.looks_due(1001.0 + LOOK) == [life.fib.routes[TABLE[0]].id]

    def test_an_older_one_is_not_looked_into(self, life: Life) -> None:
        life.at(1000.0, Q, members=(B,))
        life.at(1000.0 + YOUTH, Q, members=(A, B))
        assert life.fib.groups.settling.looks_due(2000.0) == []


def test_a_new_router_completes_it() -> None:
    fib = Fib(Shape(FibSection(nexthop_id_base=1)))
    nexthops = (KernelNexthop(2, 186, A), KernelNexthop(3, 186, B))
    group = KernelGroup(1, 186, (Member(3, 1), Member(2, 2048)), 1024, IDLE, 0.0)
    assert adopt(fib, KernelDump((), nexthops, (group,), {P: 1}, ()), 1000.0) == []
    fib.awaiting.end([A, B])
    fib.want([P], Wanted((A, B, C)))
    [_, joined] = fib.plan(1001.0)
    assert isinstance(joined, SetGroup)
    assert joined.hold
    fib.balance(1000.0 + IDLE - 1)
    assert fib.plan(1000.0 + IDLE - 1) == []
    fib.balance(1000.0 + IDLE)
    [balanced] = fib.plan(1000.0 + IDLE)
    assert isinstance(balanced, SetGroup)
    assert not balanced.hold
    assert [member.weight for member in balanced.members] == [1, 1, 1]


def test_the_kernels_objects_are_as_few_as_the_members(life: Life) -> None:
    assert life.weights == {1: {2: 1}}
    assert life.fib.fail([A]) == [DeleteNexthop(2)]


def test_who_parts_meanwhile_takes_over_no_bucket() -> None:
    """Which buckets the flows of the one that was alone use is not known: the new group is its own, and others join
    it as they join any."""
    life = Life()
    life.at(0.0, *TABLE, members=(A,))
    life.at(1000.0, *TABLE, members=(A, B))
    life.told.clear()
    life.at(1001.0, TABLE[0], members=(A, C))
    made = [each for each in life.told if isinstance(each, SetGroup)]
    (group,) = {each.id for each in made}
    assert [len(each.members) for each in made] == [1, 2]
    assert not any(each.like for each in made)
    assert life.heavy(group) == set()
    life.at(1001.0 + IDLE)
    assert len(life.heavy(group)) == 2


@pytest.mark.parametrize(("idle_timer", "until"), [(300.0, 1000.0 + IDLE), (IDLE, 1000.0 + IDLE), (60.0, 1070.0)])
def test_with_another_timer_nobody_waits_longer_than_before_nor_than_that_from_now_on(
    life: Life, idle_timer: float, until: float
) -> None:
    life.at(1000.0, P, members=(A, B))
    life.fib.reshape(Shape(FibSection(nexthop_id_base=1, idle_timer=idle_timer)), 1010.0)
    life.at(until - 1)
    assert life.heavy() == set()
    assert life.fib.groups.settling.next == until
    life.at(until)
    assert life.heavy() == {2, 3}
