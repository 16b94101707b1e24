"""Histograms count a value under the first bound that it does not exceed."""

from __future__ import annotations

from routerd.core.histogram import Histogram


def test_values_are_counted_by_the_bound_that_they_do_not_exceed() -> None:
    histogram = Histogram((0.01, 0.1))
    for value in (0.0, 0.01, 0.011, 0.1, 0.2, 5.0):
        histogram.add(value)
    assert histogram.counts == [2, 2, 2]
    assert (histogram.largest, histogram.total) == (5.0, 5.321)
