"""What a translation leaves out: every line or key of it, why, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Left(NamedTuple):
    """`number` is that of the line, 0 if it is about no line; `what` is its text, or the key."""

    number: int
    what: str
    why: str
    remedy: str


@dataclass
class Report:
    """Gathers what is left out; the same is said once."""

    _left: dict[Left, None] = field(default_factory=dict)

    def add(self, number: int, what: str, why: str, remedy: str) -> None:
        """Note what is left out."""
        self._left[Left(number, what, why, remedy)] = None

    @property
    def left(self) -> list[Left]:
        """All that is left out, by line."""
        return sorted(self._left, key=lambda each: each.number)
