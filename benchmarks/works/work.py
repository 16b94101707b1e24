"""What a work is: a scenario on one daemon, and the figures that come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.contenders import Contender
from benchmarks.figures import Figure
from benchmarks.stage import Values


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is done: `of` scales counts down for a quick look, and `seconds` bounds what takes its time."""

    share: float = 1.0

    def of(self, count: int) -> int:
        """Return so many, scaled, and at least ten."""
        return max(10, int(count * self.share))


@dataclass(frozen=True, slots=True)
class Work:
    """A scenario: `run` measures one daemon once. A mass work is done in `make soak` too.
    What only routerd tells of itself, it does `alone`."""

    name: str
    figures: tuple[Figure, ...]
    run: Callable[[type[Contender], Scale], Values]
    mass: bool = False
    alone: bool = False
