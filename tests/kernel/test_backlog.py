"""What waits to be written: its order, its portions, and what failover does to it. No kernel is needed."""

from __future__ import annotations

from collections.abc import Sequence

from routerd.kernel.backlog import Backlog
from routerd.message import (
    DeleteNexthop,
    DeleteRoutes,
    Gateway,
    GroupMade,
    Member,
    Operation,
    SetGroup,
    SetNexthop,
    SetRoutes,
    WriteFailed,
)
from routerd.route import parse_address
from tests.kernel.scenario import many

ROUTES = tuple(many(20))


class Kernel:
    """Takes down what is written. Every call takes `pace` seconds; `refused` tells which routes it does not take."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pace = 0.001
        self.refused: set[bytes] = set()
        self.written: list[Operation] = []
        self.backlog = Backlog(self.write, lambda group: group == 7, portion=8, clock=lambda: self.now)

    def write(self, operations: Sequence[Operation]) -> list[WriteFailed]:
        self.now += self.pace
        self.written += operations
        routes = [each for each in operations if isinstance(each, SetRoutes)]
        return [
            WriteFailed(SetRoutes(each.id, (prefix,)), 28, "full")
            for each in routes
            for prefix in each.prefixes
            if prefix in self.refused
        ]

    def sizes(self) -> list[int]:
        return [len(each.prefixes) for each in self.written if isinstance(each, SetRoutes | DeleteRoutes)]


def test_routes_go_out_in_portions_and_in_order() -> None:
    kernel = Kernel()
    kernel.backlog.add([SetGroup(5, (Member(1),)), SetRoutes(5, ROUTES), DeleteRoutes(ROUTES[:3])])
    assert kernel.backlog.write(0.002) == []
    assert [type(each) for each in kernel.written] == [SetGroup, SetRoutes]
    assert kernel.backlog
    kernel.backlog.write(1.0)
    assert not kernel.backlog
    assert kernel.sizes() == [8, 8, 4, 3]
    assert tuple(p for each in kernel.written if isinstance(each, SetRoutes) for p in each.prefixes) == ROUTES


def test_portions_are_small_while_the_kernel_is_slow() -> None:
    kernel = Kernel()
    kernel.backlog.add([SetRoutes(5, ROUTES)])
    kernel.pace = 0.02
    for _ in range(3):
        kernel.backlog.write(0.0)
    kernel.pace = 0.001
    kernel.backlog.write(1.0)
    assert kernel.sizes() == [8, 1, 1, 1, 4, 5]


def test_what_the_core_should_know_comes_back() -> None:
    kernel = Kernel()
    kernel.refused = set(ROUTES[6:10])  # in two portions
    kernel.backlog.add(
        [SetGroup(7, (Member(1),), 64, 1.0, 0.0, like=5), SetGroup(8, (Member(1),), 64, 1.0, 0.0, like=5)]
    )
    kernel.backlog.add([SetRoutes(7, ROUTES)])
    assert kernel.backlog.write(1.0) == [
        WriteFailed(SetRoutes(7, ROUTES[6:10]), 28, "full"),
        GroupMade(7, True),
        GroupMade(8, False),
    ]


def test_failover_jumps_the_queue_which_forgets_what_is_lost() -> None:
    kernel = Kernel()
    kernel.backlog.add(
        [
            SetRoutes(9, ROUTES),
            SetGroup(5, (Member(1), Member(2))),
            SetRoutes(5, ROUTES[:2]),
            SetGroup(6, (Member(1),)),
            SetRoutes(6, ROUTES[2:4]),
            SetGroup(6, (Member(2),)),
            SetRoutes(6, ROUTES[4:6]),
        ]
    )
    kernel.backlog.write(0.0)
    kernel.backlog.jump([DeleteNexthop(1)])
    kernel.backlog.write(1.0)
    assert [each for each in kernel.written if not isinstance(each, SetRoutes)] == [
        DeleteNexthop(1),
        SetGroup(5, (Member(2),)),
        DeleteNexthop(6),  # of a group that would have been left empty: the kernel's own may have other members
        SetGroup(6, (Member(2),)),
    ]
    told = [(each.id, each.prefixes) for each in kernel.written if isinstance(each, SetRoutes)]
    assert told == [
        *((9, ROUTES[start : start + 8]) for start in (0, 8, 16)),
        (5, ROUTES[:2]),
        (6, ROUTES[4:6]),
    ]


def test_a_half_written_operation_that_is_forgotten_leaves_nothing_behind() -> None:
    kernel = Kernel()
    kernel.backlog.add(
        [SetRoutes(5, ROUTES), SetNexthop(3, Gateway(parse_address("10.0.0.3"), 2)), SetRoutes(9, ROUTES)]
    )
    kernel.backlog.write(0.0)
    kernel.backlog.jump([DeleteNexthop(5), DeleteNexthop(3)])
    kernel.backlog.write(1.0)
    assert kernel.sizes() == [8, 8, 8, 4]
    assert SetNexthop not in map(type, kernel.written)
