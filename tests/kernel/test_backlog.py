"""What waits to be written: its order, its portions, and what failover does to it. No kernel is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from routerd.core.message import (
    Arrange,
    DeleteNexthop,
    DeleteRoutes,
    Gateway,
    GroupLost,
    GroupMade,
    Member,
    Operation,
    SetGroup,
    SetNexthop,
    SetRoutes,
    WriteFailed,
)
from routerd.core.route import Prefix, parse_address
from routerd.kernel.backlog import FEW_GROUPS, MANY_GROUPS, Backlog, Routes
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

    def write(self, operations: Sequence[Operation]) -> list[WriteFailed | GroupLost]:
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


class Thread:
    """Stands for the thread: takes up to two jobs, and ends one when told so. It makes groups that are not known."""

    def __init__(self) -> None:
        self.begun: list[list[Operation]] = []
        self.ended: list[list[Operation]] = []
        self.done = False

    def takes(self, operation: Operation) -> bool:
        new = isinstance(operation, SetGroup) and self.makes(operation)
        return not self.begun or (len(self.begun) < 2 and (new or isinstance(operation, Routes)))

    def makes(self, group: SetGroup) -> bool:
        return not group.known

    def start(self, operations: Sequence[Operation]) -> None:
        self.begun.append([*operations])

    def finish(self) -> list[WriteFailed]:
        self.done = False
        ended = self.begun.pop(0)
        self.ended.append(ended)
        routes = [each for each in ended if isinstance(each, SetRoutes)]
        return [WriteFailed(replace(each, prefixes=each.prefixes[:1]), 28, "full") for each in routes]


def routes_of(thread: Thread) -> list[tuple[Prefix, ...]]:
    return [each.prefixes for job in thread.begun for each in job if isinstance(each, Routes)]


def test_routes_go_out_in_portions_and_in_order() -> None:
    kernel = Kernel()
    kernel.backlog.add([SetGroup(5, (Member(1),)), SetRoutes(5, ROUTES), DeleteRoutes(ROUTES[:3])])
    assert kernel.backlog.write(0.002) == []
    assert [type(each) for each in kernel.written] == [SetGroup, SetRoutes]
    assert kernel.backlog.length
    kernel.backlog.write(1.0)
    assert not kernel.backlog.length
    assert kernel.sizes() == [8, 8, 4, 3]
    assert tuple(p for each in kernel.written if isinstance(each, SetRoutes) for p in each.prefixes) == ROUTES


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
        # A group that would have been left empty, which the kernel's own is not perhaps; its members may come back.
        DeleteNexthop(6, returns=True),
        DeleteRoutes(ROUTES[2:4]),  # which may lead to another group yet
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
    assert kernel.sizes() == [8, 8, 8, 4, 8, 8, 4]
    assert [type(each) for each in kernel.written[3:6]] == [DeleteRoutes] * 3  # all of them anew
    assert SetNexthop not in map(type, kernel.written)


def test_buckets_that_are_left_are_handed_over_after_all_that_waits() -> None:
    kernel, left = Kernel(), [5, 0, 5, 0, 5]
    backlog = Backlog(kernel.write, lambda _: False, unfinished=lambda: left.pop(0))
    first, later = Arrange(5, ((1, 64),)), Arrange(5, ((2, 64),))
    backlog.add([first, SetRoutes(5, ROUTES)])
    backlog.write(1.0)
    assert kernel.written == [first, SetRoutes(5, ROUTES), first]
    kernel.written.clear()
    backlog.add([first, later])
    backlog.write(1.0)
    assert kernel.written == [first, later]  # what was wanted before is no more
    kernel.written.clear()
    backlog.add([later])
    backlog.end()
    backlog.write(1.0)
    assert kernel.written == [later]
    assert not backlog.length
    backlog.add([SetNexthop(3, Gateway(parse_address("10.0.0.3"), 2)), later])
    backlog.jump([DeleteNexthop(5)])
    assert backlog.length == 1


def test_many_routes_go_to_the_thread_and_the_rest_keeps_its_place() -> None:
    kernel, thread = Kernel(), Thread()
    kernel.backlog = Backlog(kernel.write, lambda _: False, thread, portion=4, many=8, clock=lambda: kernel.now)
    few, many = SetRoutes(5, ROUTES[:3]), SetRoutes(5, ROUTES[3:])
    kernel.backlog.add(
        [SetGroup(5, (Member(1),)), few, many, SetRoutes(5, ROUTES[:2]), SetGroup(6, (Member(1),), known=True), few]
    )
    assert kernel.backlog.write(1.0) == []
    assert kernel.written == [SetGroup(5, (Member(1),)), few]  # at once: to hand three routes over costs more
    assert routes_of(thread) == [ROUTES[3:11], ROUTES[11:19]]
    assert (kernel.backlog.length, kernel.backlog.held_up) == (17 + 2 + 1 + 3, True)

    kernel.backlog.jump([DeleteNexthop(9)])
    assert kernel.written[-1] == DeleteNexthop(9)  # failover waits for nothing
    assert kernel.backlog.write(1.0) == []
    assert len(kernel.written) == 3

    thread.done = True
    assert kernel.backlog.write(1.0) == [WriteFailed(SetRoutes(5, ROUTES[3:4]), 28, "full")]
    assert routes_of(thread) == [ROUTES[11:19], ROUTES[19:]]
    for left in (ROUTES[19:], ROUTES[:2]):
        thread.done = True
        kernel.backlog.write(1.0)
        assert routes_of(thread)[0] == left  # few as well: what is begun comes before it
    assert len(kernel.written) == 3
    thread.done = True
    kernel.backlog.write(1.0)
    assert kernel.written[3:] == [SetGroup(6, (Member(1),), known=True), few]
    assert (kernel.backlog.length, kernel.backlog.held_up) == (0, False)


def test_failover_forgets_what_is_lost_behind_routes_that_are_being_written() -> None:
    kernel, thread = Kernel(), Thread()
    kernel.backlog = Backlog(kernel.write, lambda _: False, thread, portion=4, many=8, clock=lambda: kernel.now)
    kernel.backlog.add([SetRoutes(5, ROUTES), SetGroup(6, (Member(1), Member(2)), known=True)])
    kernel.backlog.write(1.0)
    kernel.backlog.jump([DeleteNexthop(5), DeleteNexthop(1)])
    assert kernel.backlog.length == 16 + 20 + 1  # what has been begun goes on, and is refused
    while kernel.backlog.length:
        thread.done = bool(thread.begun)
        kernel.backlog.write(1.0)
    assert kernel.written == [DeleteNexthop(5), DeleteNexthop(1), SetGroup(6, (Member(2),), known=True)]
    assert thread.ended[2:] == [[DeleteRoutes(ROUTES[start : start + 8])] for start in (0, 8, 16)]


def made(first: int, count: int) -> list[Operation]:
    """New groups, each with a route of its own."""
    prefixes = many(first + count)[first:]
    numbered = enumerate(prefixes, 100 + first)
    return [each for id, prefix in numbered for each in (SetGroup(id, (Member(1),)), SetRoutes(id, (prefix,)))]


def test_many_new_groups_go_to_the_thread_with_their_routes() -> None:
    kernel, thread = Kernel(), Thread()
    backlog = Backlog(kernel.write, lambda _: False, thread, clock=lambda: kernel.now)
    backlog.add(few := made(0, FEW_GROUPS - 1))
    backlog.write(1.0)
    assert (kernel.written, thread.begun) == (few, [])  # to hand these over costs more

    backlog.add(many := made(50, MANY_GROUPS + 1))
    backlog.write(1.0)
    assert thread.begun == [many[:-2], many[-2:]]  # even a single one, for it comes behind the others
    assert (kernel.written, backlog.length) == (few, len(many))
    while backlog.length:
        thread.done = bool(thread.begun)
        backlog.write(1.0)
    assert kernel.written == few


def test_the_thread_gets_no_more_than_new_groups_and_the_routes_that_lead_to_them() -> None:
    for other in (
        SetGroup(100, (Member(2),)),  # once more
        SetGroup(90, (Member(2),), known=True),
        SetNexthop(3, Gateway(parse_address("10.0.0.3"), 2)),
        DeleteNexthop(7),
        SetRoutes(7, ROUTES[:1]),
        SetRoutes(100, tuple(many(FEW_GROUPS)[-1:])),  # a prefix of another group of these
        SetRoutes(100, tuple(many(1000)[-300:])),  # a table
        DeleteRoutes(ROUTES[:1]),
    ):
        thread = Thread()
        backlog = Backlog(Kernel().write, lambda _: False, thread)
        backlog.add([*(groups := made(0, FEW_GROUPS)), other, SetGroup(99, (Member(1),))])
        backlog.write(1.0)
        assert thread.begun[0] == groups


def test_failover_waits_for_groups_that_are_being_made() -> None:
    kernel, thread = Kernel(), Thread()
    backlog = Backlog(kernel.write, lambda _: False, thread, clock=lambda: kernel.now)
    backlog.add([*(groups := made(0, MANY_GROUPS)), *(waiting := made(MANY_GROUPS, 5))])
    backlog.write(0.0)
    assert thread.begun == [groups]
    told = backlog.jump([DeleteNexthop(1)])  # else the kernel would refuse whole groups
    assert len(told) == MANY_GROUPS
    assert (thread.begun, kernel.written) == ([], [DeleteNexthop(1)])
    backlog.write(1.0)
    ids = [each.id for each in waiting if isinstance(each, SetGroup)]
    assert [each for each in kernel.written[1:] if not isinstance(each, DeleteRoutes)] == [
        DeleteNexthop(id, returns=True) for id in ids
    ]


def test_what_is_refused_for_the_same_cause_comes_back_together_from_failover_too() -> None:
    thread = Thread()
    backlog = Backlog(Kernel().write, lambda _: False, thread)
    backlog.add([*made(0, FEW_GROUPS), *(SetRoutes(100, (prefix,)) for prefix in many(2 * FEW_GROUPS)[FEW_GROUPS:])])
    backlog.write(1.0)
    told = backlog.jump([DeleteNexthop(1)])
    refused = [each.operation for each in told if isinstance(each, WriteFailed)]
    assert sorted(len(each.prefixes) for each in refused if isinstance(each, SetRoutes)) == [1] * (FEW_GROUPS - 1) + [
        FEW_GROUPS + 1
    ]
