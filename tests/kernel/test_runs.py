"""What goes to the kernel in one message: the order of what depends on each other stays. No kernel is needed."""

from __future__ import annotations

from routerd.core.message import (
    Arrange,
    DeleteNexthop,
    DeleteRoutes,
    Gateway,
    Member,
    SetGroup,
    SetNexthop,
    SetRoutes,
)
from routerd.core.route import parse_address
from routerd.kernel.runs import runs
from tests.kernel.scenario import many

ROUTES = tuple(many(4))
NODE = SetNexthop(1, Gateway(parse_address("10.0.0.1"), 2))
GROUPS = [SetGroup(id, (Member(1),)) for id in (10, 11, 12)]
LIKE = SetGroup(13, (Member(1), Member(2)), like=10)


def test_what_is_of_one_kind_goes_together() -> None:
    first, second, third = (SetRoutes(10 + i, ROUTES[i : i + 1]) for i in range(3))
    wanted = [NODE, GROUPS[0], first, GROUPS[1], second, DeleteNexthop(9), GROUPS[2], third, DeleteNexthop(8)]
    together = [[NODE], GROUPS, [first, second, third], [DeleteNexthop(9), DeleteNexthop(8)]]
    assert list(runs(wanted)) == together
    assert list(runs([])) == []


def test_what_is_done_twice_to_an_object_is_done_in_order() -> None:
    again = SetGroup(10, (Member(1), Member(2)), known=True)
    assert list(runs([GROUPS[0], GROUPS[1], again])) == [GROUPS[:2], [again]]
    assert list(runs([DeleteNexthop(10), *GROUPS[:2]])) == [[DeleteNexthop(10)], GROUPS[:2]]
    assert list(runs([*GROUPS[:2], DeleteNexthop(10)])) == [GROUPS[:2], [DeleteNexthop(10)]]
    here, there = SetRoutes(10, ROUTES[:3]), SetRoutes(11, ROUTES[2:])
    assert list(runs([here, there])) == [[here], [there]]


def test_what_takes_more_than_a_message_keeps_its_place() -> None:
    gone = DeleteRoutes(ROUTES)
    handed = Arrange(10, ((1, 64),))
    assert list(runs([GROUPS[0], handed, GROUPS[1]])) == [[GROUPS[0]], [handed], [GROUPS[1]]]
    assert list(runs([GROUPS[0], LIKE, NODE])) == [[GROUPS[0]], [LIKE], [NODE]]
    assert list(runs([DeleteNexthop(9), gone, DeleteNexthop(8)])) == [[DeleteNexthop(9)], [gone], [DeleteNexthop(8)]]
