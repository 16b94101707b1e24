"""Who changed a group last."""

from __future__ import annotations

import pytest

from routerd.core.message import DeleteNexthop, Gateway, Member, Operation, SetGroup, SetNexthop
from routerd.core.route import parse_address
from routerd.service import changes
from routerd.service.changes import Changes

A, B = (Gateway(parse_address(address), 2) for address in ("10.0.0.65", "10.0.0.66"))
GROUP = 9


def group(*ids: int, weight: int = 1, first: int = 1) -> SetGroup:
    members = tuple(Member(id_, first if place == 0 else weight) for place, id_ in enumerate(ids))
    return SetGroup(GROUP, members, 16)


def noted(*steps: tuple[float, Operation]) -> Changes:
    made = Changes()
    for at, operation in steps:
        made.note([operation], at)
    return made


def moved(found: Changes) -> tuple[float, list[tuple[int, str]]]:
    change = found.of(GROUP)
    assert change is not None
    return change.at, change.moved()


BEGIN = ((0.0, SetNexthop(1, A)), (0.0, SetNexthop(2, B)), (0.0, group(1)))


def test_a_group_that_nobody_wrote_has_no_change() -> None:
    assert Changes().of(GROUP) is None


def test_members_join_leave_and_get_another_share() -> None:
    assert moved(noted(*BEGIN)) == (0.0, [])
    assert moved(noted(*BEGIN, (1.0, group(1, 2)))) == (1.0, [(2, "joined")])
    assert moved(noted(*BEGIN, (1.0, group(1, 2)), (2.0, group(2)))) == (2.0, [(1, "left")])
    drained = noted(*BEGIN, (1.0, group(1, 2)), (2.0, group(1, 2, weight=99)))
    assert moved(drained) == (2.0, [(1, "weight"), (2, "weight")])


def test_what_is_written_again_as_it_was_is_no_change() -> None:
    again = noted(*BEGIN, (1.0, group(1, 2)), (2.0, group(1, 2)), (3.0, group(1, 2, weight=5, first=5)))
    assert moved(again) == (3.0, []), "the same shares in other numbers"
    once = noted(*BEGIN, (1.0, group(1, 2)), (2.0, group(1, 2)))
    assert moved(once) == (1.0, [(2, "joined")])


def test_a_nexthop_that_is_deleted_has_left_its_groups_and_joins_them_when_it_is_back() -> None:
    lost = noted(*BEGIN, (1.0, group(1, 2)), (2.0, DeleteNexthop(2)))
    assert moved(lost) == (2.0, [(2, "left")])
    assert lost.gateway(2) == B
    lost.note([SetNexthop(2, B), group(1, 2)], 3.0)
    assert moved(lost) == (3.0, [(2, "joined")])


def test_a_group_that_is_deleted_is_forgotten() -> None:
    assert noted(*BEGIN, (1.0, DeleteNexthop(GROUP))).of(GROUP) is None


def test_no_more_is_kept_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "LIMIT", 10)
    made = Changes()
    for number in range(50):
        made.note([SetNexthop(number, A), SetGroup(1000 + number, (Member(number),)), DeleteNexthop(number)], number)
    assert made.of(1000) is None
    assert made.of(1049) is not None
    assert made.gateway(0) is None
    assert made.gateway(49) == A
