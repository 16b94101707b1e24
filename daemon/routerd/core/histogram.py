"""A histogram: how often a value lay within which bounds."""

from __future__ import annotations

from bisect import bisect_left


class Histogram:
    """Counts values by `bounds`, which rise; `counts` has one more, for what exceeds them all.

    A value counts under the first bound that it does not exceed, as in Prometheus (there they are cumulative).
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.largest = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
        self.largest = max(self.largest, value)
