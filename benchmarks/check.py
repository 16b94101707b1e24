"""Whether routerd has become slower, as a share of what FRR and BIRD take in the same minutes.

Absolute times say more about the machine than about routerd, so ratios are compared. They are noisy too. A ratio
counts as worse only if it is worse by a margin, and its best case now is worse than its worst case then: the range of
a ratio is from routerd's least value over the other's greatest to the contrary.
"""

from __future__ import annotations

from benchmarks.figures import ROUTERD, Figure, Measured, Results, ratio

MARGIN = 1.25
ALONE = 2.0
"""The margin of figures that nobody else was measured for: there the absolute values have to do."""
_OTHERS = {"frr": "FRR", "bird": "BIRD"}


def regressions(figures: dict[str, Figure], recorded: Results, measured: Results) -> list[str]:
    """Return a line for each figure that became worse. Figures that either side lacks are passed over."""
    lines: list[str] = []
    for key, figure in figures.items():
        if ROUTERD not in recorded.get(key, {}) or ROUTERD not in measured.get(key, {}):
            continue
        before, now = recorded[key], measured[key]
        if figure.unit == "n":
            lines += _more(figure, figure.value(before[ROUTERD]), figure.value(now[ROUTERD]))
            continue
        others = [name for name in _OTHERS if name in before and name in now]
        for name in others:
            lines += _compared(figure, name, before, now)
        if not others:
            old, new = before[ROUTERD], now[ROUTERD]
            if new.median > ALONE * old.median and new.low > old.high:
                lines.append(f"{figure.title}: {figure.text(new.median)}, recorded {figure.text(old.median)}")
    return lines


def _more(figure: Figure, before: float, now: float) -> list[str]:
    """Faults are not noisy: one more than recorded is one too many."""
    return [f"{figure.title}: {figure.text(now)}, recorded {figure.text(before)}"] if now > before else []


def bounds(measured: dict[str, Measured], other: str) -> tuple[float, float]:
    """Return the least and the greatest ratio to another daemon that the values allow."""
    own, its = measured[ROUTERD], measured[other]
    return own.low / its.high if its.high else 0.0, own.high / its.low if its.low else float("inf")


def _compared(figure: Figure, other: str, before: dict[str, Measured], now: dict[str, Measured]) -> list[str]:
    old, new = ratio(before, other), ratio(now, other)
    if old is None or new is None or new <= MARGIN * old or bounds(now, other)[0] <= bounds(before, other)[1]:
        return []
    return [f"{figure.title}: {new:.3g} x {_OTHERS[other]}, recorded {old:.3g} x"]
