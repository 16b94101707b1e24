"""A bar chart as SVG: how many times as long, or as much, as routerd each daemon takes, on a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Iterator
from xml.sax.saxutils import escape

from benchmarks.figures import ROUTERD, Figure, Measured, Results

_LABEL, _WIDTH, _RIGHT, _BAR, _GAP, _TOP, _BOTTOM = 300, 930, 90, 9, 10, 50, 30
"""Pixels: the column of titles, the whole, room for the last values, a bar, between works, above and below."""
_COLOURS = {ROUTERD: "#1b6ca8", "frr": "#c8553d", "bird": "#7a9e3f"}
_TITLES = {ROUTERD: "routerd", "frr": "FRR", "bird": "BIRD"}


def svg(figures: dict[str, Figure], results: Results) -> str:
    """Return the chart of all figures that were measured for routerd and somebody else."""
    shown = [(figure, _positive(figure, results.get(key, {}))) for key, figure in figures.items()]
    shown = [(figure, medians) for figure, medians in shown if ROUTERD in medians and len(medians) > 1]
    height = _TOP + len(shown) * (len(_COLOURS) * _BAR + _GAP) + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}"'
        f' viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="11">',
        _box(0, 0, _WIDTH, height, "#ffffff"),
        *_legend(),
    ]
    if shown:
        axis = _Axis([value / medians[ROUTERD] for _, medians in shown for value in medians.values()])
        parts += axis.lines(height)
        for number, (figure, medians) in enumerate(shown):
            parts += _work(figure, medians, axis, _TOP + number * (len(_COLOURS) * _BAR + _GAP))
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Axis:
    """From one power of ten to another, so that all values lie between."""

    def __init__(self, values: list[float]) -> None:
        self._low = math.floor(math.log10(min(values)))
        self._high = max(self._low + 1, math.ceil(math.log10(max(values))))

    def place(self, value: float) -> float:
        """Return the x of a value."""
        share = (math.log10(value) - self._low) / (self._high - self._low)
        return _LABEL + share * (_WIDTH - _RIGHT - _LABEL)

    def lines(self, height: int) -> Iterator[str]:
        """Yield a line and a number for each power of ten."""
        for power in range(self._low, self._high + 1):
            x = self.place(10.0**power)
            stroke = "#666666" if power == 0 else "#dddddd"
            yield f'<line x1="{x:.1f}" y1="{_TOP - 8}" x2="{x:.1f}" y2="{height - 26}" stroke="{stroke}"/>'
            yield _text(x, height - 10, f"{10.0**power:g} x", anchor="middle")


def _work(figure: Figure, medians: dict[str, float], axis: _Axis, y: int) -> Iterator[str]:
    yield _text(_LABEL - 8, y + 1.9 * _BAR, figure.title, anchor="end")
    for row, (name, colour) in enumerate(_COLOURS.items()):
        if name in medians:
            end, top = axis.place(medians[name] / medians[ROUTERD]), y + row * _BAR
            yield _box(_LABEL, top, max(1.0, end - _LABEL), _BAR - 1, colour)
            yield _text(end + 4, top + 8, figure.text(medians[name]), size=9)


def _legend() -> Iterator[str]:
    yield _text(12, 24, "Time, memory and CPU as multiples of routerd's: shorter is better", size=14)
    for index, (name, colour) in enumerate(_COLOURS.items()):
        x = _WIDTH - 230 + index * 75
        yield _box(x, 14, 11, 11, colour)
        yield _text(x + 16, 24, _TITLES[name])


def _positive(figure: Figure, measured: dict[str, Measured]) -> dict[str, float]:
    return {name: value for name, each in measured.items() if (value := figure.value(each)) > 0}


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 11) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(text)}</text>'


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'
