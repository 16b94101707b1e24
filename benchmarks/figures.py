"""Figures: what is measured, in which unit, and what it is held against."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

ROUTERD = "routerd"


@dataclass(frozen=True, slots=True)
class Target:
    """What routerd's figure may be at most: a share of another daemon's, or an absolute value in the unit's base."""

    frr: float | None = None
    bird: float | None = None
    absolute: float | None = None

    def __str__(self) -> str:
        parts = [f"<= {share:g} x {name}" for name, share in (("FRR", self.frr), ("BIRD", self.bird)) if share]
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `unit` is "s", "B", "%" (of a core, as a share: 0.01 is 1 %) or "n", a count of faults.

    Times and memory count by their median. A fault counts when it happens: there the worst run is the figure.
    """

    key: str
    title: str
    unit: str = "s"
    target: Target = Target()

    def text(self, value: float) -> str:
        """Return a value for people."""
        match self.unit:
            case "B":
                return f"{value / 1e6:,.0f} MB"
            case "%":
                return f"{100 * value:.2f} %"
            case "n":
                return f"{value:,.0f}"
        if value < 0.1:
            return f"{1000 * value:.{2 if value < 0.01 else 1}f} ms"
        return f"{value:.2f} s"

    def value(self, measured: Measured) -> float:
        """Return the one value that stands for all that were measured."""
        return measured.high if self.unit == "n" else measured.median

    def wanted(self) -> str:
        """Return the target for people; "completes" without one."""
        parts = [str(self.target)] if str(self.target) else []
        if self.target.absolute is not None:
            parts.insert(0, f"<= {self.text(self.target.absolute)}")
        return ", ".join(parts) or "completes"


@dataclass(frozen=True, slots=True)
class Measured:
    """The values of a figure for one daemon, one or more a run."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The least."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The greatest."""
        return max(self.values)


Results = dict[str, dict[str, Measured]]
"""Figure's key -> daemon's name -> what was measured."""


def quantile(values: Sequence[float], share: float) -> float:
    """Return the least value that at least such a share of the values does not exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)  # rounded up
    return ordered[max(0, int(rank) - 1)]


def ratio(measured: dict[str, Measured], other: str) -> float | None:
    """Return routerd's median as a share of another daemon's; None if either was not measured or is zero."""
    if ROUTERD not in measured or other not in measured or not measured[other].median:
        return None
    return measured[ROUTERD].median / measured[other].median


def met(figure: Figure, measured: dict[str, Measured]) -> bool | None:
    """Tell whether routerd meets the figure's target; None if that was not measured whole."""
    if ROUTERD not in measured:
        return None
    verdicts: list[bool] = []
    for other, share in (("frr", figure.target.frr), ("bird", figure.target.bird)):
        if share is not None:
            found = ratio(measured, other)
            if found is None:
                return None
            verdicts.append(found <= share)
    if figure.target.absolute is not None:
        verdicts.append(figure.value(measured[ROUTERD]) <= figure.target.absolute)
    return all(verdicts)
