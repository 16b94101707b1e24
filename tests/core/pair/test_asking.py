"""Who is asked about which groups, and how long an answer is waited for."""

from __future__ import annotations

from routerd.core.pair.asking import MOST, PATIENCE, Asking


def test_a_number_of_groups_is_asked_about_at_a_time() -> None:
    asking = Asking()
    assert (asking.number, asking.due) == (0, None)
    for id in range(1, MOST + 3):
        asking.add(id)
    assert (asking.number, asking.due) == (0, 0.0)
    assert asking.begin(1.0) == list(range(1, MOST + 1))
    assert (asking.number, asking.due) == (1, 1.0 + PATIENCE)
    assert asking.begin(1.1) == []
    assert all(asking.answered(id, 1) for id in range(1, MOST + 1))
    assert asking.begin(2.0) == [MOST + 1, MOST + 2]
    assert asking.number == 2


def test_an_answer_counts_once_and_only_to_what_was_asked_last() -> None:
    asking = Asking()
    asking.add(1)
    asking.add(2)
    assert not asking.answered(1)
    asking.begin(0.0)
    assert not asking.answered(1, 0)
    assert not asking.answered(1, 2)
    assert not asking.answered(3, 1)
    assert asking.answered(1, 1)
    assert not asking.answered(1, 1)
    assert asking.answered(2)  # a group that is gone has no number
    assert asking.due is None


def test_who_does_not_answer_in_time_lets_others_have_their_turn() -> None:
    asking = Asking()
    asking.add(1)
    asking.begin(10.0)
    asking.add(2)
    assert asking.late(10.0 + PATIENCE - 0.1) == []
    assert 1 in asking
    assert asking.late(10.0 + PATIENCE) == [1]
    assert 1 not in asking
    assert not asking.answered(1, asking.number)
    assert asking.begin(10.0 + PATIENCE) == [2]
    assert asking.late(10.0 + PATIENCE) == []


def test_groups_that_are_gone_and_a_partner_that_is() -> None:
    asking = Asking()
    asking.add(1)
    asking.add(2)
    asking.begin(0.0)
    for id in (3, 4):
        asking.add(id)
    for id in (1, 3, 5):
        asking.forget(id)
    assert [id for id in range(6) if id in asking] == [2, 4]
    assert sorted(asking.clear()) == [2, 4]
    assert asking.clear() == []
    assert asking.due is None
