"""The table: on the terminal in columns, in the document as Markdown."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.figures import Figure, Measured, Results, met, ratio

HEADINGS = ("work", "routerd", "FRR", "BIRD", "routerd / FRR", "routerd / BIRD", "target", "met")
_NAMES = ("routerd", "frr", "bird")


def rows(figures: dict[str, Figure], results: Results) -> list[tuple[str, ...]]:
    """Return the table's lines, in the order of `figures`, of what was measured."""
    return [_row(figure, results[key]) for key, figure in figures.items() if key in results]


def text(figures: dict[str, Figure], results: Results) -> str:
    """Return the table for a terminal."""
    lines = [HEADINGS, *rows(figures, results)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    drawn = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    ]
    return "\n".join([drawn[0], "─" * (sum(widths) + 2 * (len(widths) - 1)), *drawn[1:]])


def markdown(figures: dict[str, Figure], results: Results) -> str:
    """Return the table for a document."""
    lines = [HEADINGS, ("---", *["---:"] * 5, "---", "---"), *rows(figures, results)]
    return "\n".join(_cells(line) for line in lines) + "\n"


def spread(figures: dict[str, Figure], results: Results) -> str:
    """Return as Markdown from where to where the values lie, and how many there are."""
    lines: list[tuple[str, ...]] = [("work", "routerd", "FRR", "BIRD"), ("---", "---:", "---:", "---:")]
    for key, figure in figures.items():
        if key in results:
            lines.append((figure.title, *(_range(figure, results[key].get(name)) for name in _NAMES)))
    return "\n".join(_cells(line) for line in lines) + "\n"


def _row(figure: Figure, measured: dict[str, Measured]) -> tuple[str, ...]:
    values = [figure.text(figure.value(measured[name])) if name in measured else "-" for name in _NAMES]
    ratios = [_ratio(ratio(measured, other)) for other in _NAMES[1:]]
    verdict = {True: "yes", False: "NO", None: "-"}[met(figure, measured)]
    return (figure.title, *values, *ratios, figure.wanted(), verdict)


def _ratio(found: float | None) -> str:
    if found is None:
        return "-"
    return f"{found:.4f}" if found < 0.01 else f"{found:.2f}"


def _range(figure: Figure, measured: Measured | None) -> str:
    if measured is None:
        return "-"
    return f"{figure.text(measured.low)} to {figure.text(measured.high)} ({len(measured.values)})"


def _cells(line: Iterable[str]) -> str:
    return "| " + " | ".join(line) + " |"
