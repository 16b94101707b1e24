"""Once the channel is there the partner is told of every group, and then that this was all."""

from __future__ import annotations

from routerd.core.pair.introduction import TOLD, Introduction


def test_groups_are_told_of_a_number_at_a_time() -> None:
    introduction = Introduction()
    ids = list(range(TOLD + 2))
    introduction.begin(ids, ids)
    first = introduction.some()
    assert first == ids[:TOLD]
    for id in first:
        introduction.done(id)
    assert (introduction.is_due, introduction.complete) == (True, False)
    assert introduction.some() == ids[TOLD:]
    assert (introduction.is_due, introduction.complete) == (False, False)
    for id in ids[TOLD:]:
        introduction.done(id)
    assert (introduction.is_due, introduction.complete) == (True, True)


def test_what_was_told_of_meanwhile_is_not_told_of_again() -> None:
    introduction = Introduction()
    introduction.begin([1, 2, 3], [1, 2, 3])
    introduction.done(2)
    assert introduction.some() == [1, 3]


def test_all_is_said_after_groups_that_have_yet_to_be_read_and_those_that_come_meanwhile() -> None:
    introduction = Introduction()
    introduction.begin([1, 2], [1])
    introduction.add(3)
    introduction.done(1)
    introduction.done(2)
    assert (introduction.is_due, introduction.complete) == (True, False)
    introduction.done(3)
    assert (introduction.is_due, introduction.complete) == (True, True)


def test_without_a_channel_and_once_all_was_said_there_is_nothing_to_say() -> None:
    introduction = Introduction()
    introduction.add(1)
    assert (introduction.is_due, introduction.complete) == (False, False)
    introduction.begin([], [])
    assert (introduction.is_due, introduction.complete) == (True, True)
    introduction.end()
    introduction.add(2)
    assert (introduction.is_due, introduction.complete) == (False, False)
    introduction.begin([3], [3])
    introduction.end()
    assert (introduction.is_due, introduction.some()) == (False, [])
