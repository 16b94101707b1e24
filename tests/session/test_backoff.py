"""When a peer is dialled again."""

from __future__ import annotations

import pytest

from routerd.core.message import Notification
from routerd.session.backoff import AWAY, FIRST, FIRST_REFUSAL, LONG_LIFE, REFUSED, Backoff, Outcome


def steady() -> Backoff:
    """Return one without jitter."""
    return Backoff(lambda: 1.0)


def test_delays_double_up_to_a_bound() -> None:
    backoff = steady()
    assert [backoff.after(Outcome.AWAY) for _ in range(7)] == [1, 2, 4, 8, 16, AWAY, AWAY]
    backoff = steady()
    assert [backoff.after(Outcome.REFUSED) for _ in range(5)] == [FIRST_REFUSAL, 20, 40, 80, REFUSED]
    assert FIRST_REFUSAL == 10


def test_delays_begin_anew_when_something_else_comes_of_it() -> None:
    backoff = steady()
    for _ in range(5):
        backoff.after(Outcome.AWAY)
    assert [backoff.after(Outcome.REFUSED) for _ in range(2)] == [10, 20]
    assert backoff.after(Outcome.HARMLESS) == FIRST
    assert backoff.after(Outcome.REFUSED) == 40
    assert [backoff.after(Outcome.AWAY) for _ in range(2)] == [1, 2]


def test_what_is_harmless_is_tried_again_soon_and_counts_for_nothing() -> None:
    backoff = steady()
    backoff.after(Outcome.AWAY)
    assert [backoff.after(Outcome.HARMLESS) for _ in range(3)] == [FIRST] * 3
    assert backoff.after(Outcome.AWAY) == 2


def test_a_session_starts_anew_and_one_that_flaps_does_not() -> None:
    backoff = steady()
    for _ in range(9):
        backoff.after(Outcome.AWAY)
    assert [backoff.after_session(0.5, Outcome.AWAY) for _ in range(4)] == [1, 2, 4, 8]
    assert backoff.after_session(LONG_LIFE, Outcome.AWAY) == FIRST
    assert backoff.after_session(LONG_LIFE, Outcome.REFUSED) == FIRST_REFUSAL


def test_jitter_only_shortens() -> None:
    """RFC 4271 section 10."""
    delays = {Backoff().after(Outcome.AWAY) for _ in range(200)}
    assert len(delays) > 100
    assert min(delays) >= 0.75 * FIRST
    assert max(delays) <= FIRST


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (None, Outcome.AWAY),
        (Notification(False, 6, 7), Outcome.HARMLESS),
        (Notification(True, 6, 6), Outcome.HARMLESS),
        (Notification(True, 6, 9, b"\6\6"), Outcome.HARMLESS),
        (Notification(False, 6, 4), Outcome.AWAY),
        (Notification(False, 6, 9, b"\6\2"), Outcome.REFUSED),
        (Notification(True, 4, 0), Outcome.AWAY),
        (Notification(True, 2, 2), Outcome.REFUSED),
        (Notification(False, 6, 5), Outcome.REFUSED),
    ],
)
def test_what_an_end_means(said: Notification | None, outcome: Outcome) -> None:
    assert Outcome.of(said) is outcome
