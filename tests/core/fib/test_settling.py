"""When something is due for groups that are not settled, and what that costs."""

from __future__ import annotations

import timeit

from routerd.core.fib.model import Group
from routerd.core.fib.settling import LOOK, Settlings, Why
from routerd.core.message import Gateway
from routerd.core.route import parse_address
from routerd.core.wanted import Wanted

A, B = (Gateway(parse_address(f"10.0.0.{i}"), 2) for i in (1, 2))


def young(count: int) -> Settlings:
    """Return as many groups that have just got a second node."""
    settlings = Settlings()
    for id in range(1, count + 1):
        group = Group(id, Wanted((A, B)), 64, born=100.0)
        settlings.begin(group, 250.0, Why.ALONE, [A])
        settlings.look(group, 100.0)
    return settlings


def test_a_young_group_is_looked_into_once_and_settled_by_the_clock() -> None:
    settlings = young(2)
    assert settlings.next == 100.0 + LOOK
    assert settlings.looks_due(100.0) == []
    assert settlings.looks_due(100.0 + LOOK) == [1, 2]
    assert settlings.looks_due(200.0) == []
    assert settlings.next == 250.0


def test_what_is_settled_is_not_looked_into() -> None:
    settlings = young(1)
    assert settlings.end(settlings.due(250.0)[0])
    assert settlings.next is None
    assert settlings.looks_due(200.0) == []


def test_what_cannot_be_settled_in_time_is_due_no_more() -> None:
    settlings = young(2)
    first, second = settlings.due(250.0)
    assert settlings.due(300.0) == []
    assert first in settlings
    assert settlings.is_over(first, 250.0)
    settlings.begin(first, 500.0, Why.ALONE, [A])
    assert not settlings.is_over(first, 499.0)
    assert settlings.end(second)
    assert not settlings.is_over(second, 300.0)
    assert settlings.due(500.0) == [first]


def test_what_is_due_next_is_known_without_a_look_at_all() -> None:
    def cost(count: int) -> float:
        settlings = young(count)
        return min(timeit.repeat(lambda: settlings.next, number=20, repeat=5))

    assert cost(10_000) < 20 * cost(10)
