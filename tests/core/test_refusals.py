"""When what the kernel refused is tried again, and when it is over."""

from __future__ import annotations

from itertools import pairwise

from routerd.core.message import DeleteRoutes, WriteFailed
from routerd.core.refusals import FIRST, LAST, Refusals
from routerd.core.route import parse_prefix

PREFIX = parse_prefix("172.16.1.1/32")
FAILED = WriteFailed(DeleteRoutes((PREFIX,)), 12, "Cannot allocate memory")


def tries(refusals: Refusals, now: float, count: int) -> list[float]:
    """Return the times of so many tries that are all refused."""
    found = []
    for _ in range(count):
        refusals.schedule(now)
        refusals.schedule(now + 0.1)  # another one of the same try
        assert refusals.again_at is not None
        now = refusals.again_at
        assert not refusals.due(now - 0.01)
        assert refusals.due(now)
        assert not refusals.due(now), "once"
        found.append(now)
    return found


def test_tries_come_later_and_later_up_to_a_minute() -> None:
    refusals = Refusals({PREFIX: (12, "no")})
    times = [0.0, *tries(refusals, 0.0, 9)]
    assert [after - before for before, after in pairwise(times)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_once_nothing_is_refused_any_more_the_next_refusal_is_a_first() -> None:
    refusals = Refusals({})
    refusals.deletions[PREFIX] = FAILED
    assert tries(refusals, 0.0, 8)[-1] > LAST
    refusals.schedule(1000.0)
    refusals.deletions.clear()
    assert not refusals.due(1000.0 + LAST)
    assert refusals.again_at is None
    refusals.schedule(2000.0)
    assert refusals.again_at == 2000.0 + FIRST


def test_that_it_is_over_is_told_once_and_only_if_it_was_told_of() -> None:
    refusals = Refusals({})
    assert not refusals.is_over()
    refusals.deletions[PREFIX], refusals.told = FAILED, True
    refusals.schedule(0.0)
    assert not refusals.is_over()
    refusals.deletions.clear()
    assert not refusals.is_over(), "what was refused may be refused again by the try that is due"
    refusals.due(FIRST)
    assert refusals.is_over()
    assert not refusals.is_over()


def test_all_kinds_of_refusals_count() -> None:
    refusals = Refusals({PREFIX: (12, "no")})
    refusals.deletions.update({PREFIX: FAILED, 7: FAILED})
    refusals.groups[1] = FAILED
    assert len(refusals) == 4
