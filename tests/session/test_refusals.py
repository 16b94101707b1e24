"""Attempts at a session that came to nothing: counted by address and kind, and bounded."""

from __future__ import annotations

from routerd.core.message import Notification
from routerd.session.refusals import MAX_REFUSALS, Refusals


def test_attempts_are_counted_by_address_and_by_what_ended_them() -> None:
    refusals = Refusals()
    for now, silent in enumerate(("9.1", "9.2", "9.3")):
        said = Notification(True, 4, 0)
        last = refusals.note("10.0.0.1", f"last heard {silent} s ago", said, float(now))
    assert (last.count, last.first, last.last, last.reason) == (3, 0.0, 2.0, "last heard 9.3 s ago")
    refusals.note("10.0.0.1", "wrong AS", Notification(True, 2, 2), 3.0)
    refusals.note("10.0.0.2", "closed", None, 4.0)
    refusals.note("10.0.0.1", "last heard 9.4 s ago", Notification(True, 4, 0), 5.0)
    assert [(each.address, each.count) for each in refusals.latest()] == [
        ("10.0.0.1", 1),
        ("10.0.0.2", 1),
        ("10.0.0.1", 4),
    ]


def test_the_oldest_go() -> None:
    refusals = Refusals()
    for number in range(2 * MAX_REFUSALS):
        refusals.note(f"10.0.{number >> 8}.{number & 255}", "no peer", Notification(True, 6, 3), float(number))
    assert len(refusals.latest()) == MAX_REFUSALS
    assert refusals.latest()[-1].last == 2 * MAX_REFUSALS - 1
