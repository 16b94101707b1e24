"""Those who look at something as often do so at the same times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerd.ticks import nearest_tick, next_tick


@given(st.floats(0.02, 60), st.floats(0, 1e6))
def test_it_is_half_a_period_away_at_least(period: float, now: float) -> None:
    wait = next_tick(period, now) - now
    assert period / 2 - 1e-6 <= wait <= 1.5 * period + 1e-6


@pytest.mark.parametrize("late", [-1e-9, 0.0, 1e-4, 0.1])
def test_all_have_the_same_times_whenever_they_ask(late: float) -> None:
    """A timer may be early by a rounding error, which makes no second look."""
    assert next_tick(0.25, 1000.0 + late) == 1000.25


@given(st.floats(1, 60), st.floats(0, 1e6))
def test_who_waits_longer_goes_on_at_a_quarter_of_a_second(delay: float, now: float) -> None:
    when = nearest_tick(delay, now)
    assert abs(when - now - delay) <= 0.125 + 1e-6
    assert when * 4 == round(when * 4)
