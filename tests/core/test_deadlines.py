"""Deadlines of many: the earliest first, each once, and nothing is left behind by those that change."""

from __future__ import annotations

import math
import random

from routerd.core.deadlines import Deadlines


def test_the_earliest_comes_next_and_each_comes_once() -> None:
    deadlines = Deadlines()
    for key, time in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
        deadlines.set(key, time)
    assert deadlines.next == 1.0
    assert deadlines.due(2.0) == ["b", "c"]
    assert deadlines.due(2.0) == []
    assert deadlines.next == 3.0
    assert [key for key in "abcd" if key in deadlines] == ["a"]


def test_a_deadline_that_was_changed_or_taken_back_is_forgotten() -> None:
    deadlines = Deadlines()
    deadlines.set("a", 1.0)
    deadlines.set("b", 1.5)
    deadlines.set("a", 2.0)
    deadlines.set("b", None)
    assert deadlines.next == 2.0
    deadlines.set("a", math.inf)
    assert deadlines.due(math.inf) == []
    assert deadlines.next is None


def test_it_agrees_with_a_look_at_all_however_often_they_change() -> None:
    chance, deadlines, wanted = random.Random(1), Deadlines(), dict[str, float]()
    for step in range(2000):
        key, time = str(chance.randrange(20)), float(chance.randrange(100))
        deadlines.set(key, time)
        wanted[key] = time
        assert deadlines.next == min(wanted.values()), step
        if step % 50 == 0:
            due = {key for key, time in wanted.items() if time <= 30.0}
            assert set(deadlines.due(30.0)) == due
            wanted = {key: time for key, time in wanted.items() if key not in due}
    assert len(deadlines._heap) <= 2 * len(wanted) + 17
