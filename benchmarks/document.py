"""docs/benchmarks.md: what stands between two marks is written by the benchmark, the rest by people."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks import plot, report
from benchmarks.figures import Figure
from benchmarks.record import Record

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
CHART = PAGE.with_name("benchmarks.svg")


def write(figures: dict[str, Figure], record: Record, page: Path = PAGE, chart: Path = CHART) -> None:
    """Put table, ranges and chart of a record into the page; ValueError if it lacks a mark."""
    text = page.read_text()
    for name, part in (
        ("machine", machine(record)),
        ("table", report.markdown(figures, record.results)),
        ("ranges", report.spread(figures, record.results)),
    ):
        text = replaced(text, name, part)
    chart.write_text(plot.svg(figures, record.results))
    page.write_text(text)


def replaced(text: str, name: str, part: str) -> str:
    """Return a page with what stands between the marks of `name` replaced."""
    begin, end = f"<!-- {name}: written by make bench -->", f"<!-- /{name} -->"
    between = re.compile(f"({re.escape(begin)}\n).*?({re.escape(end)})", re.DOTALL)
    changed, times = between.subn(lambda found: found[1] + part + found[2], text)
    if times != 1:
        raise ValueError(f"{begin} ... {end} is to stand in the page once, and stands there {times} times")
    return changed


def machine(record: Record) -> str:
    """Return a sentence on where and when the figures come from."""
    known = record.machine
    daemons = ", ".join(known[name] for name in ("routerd", "frr", "bird") if name in known)
    where = f"{known['kernel']}, {known['cores']} cores, {known['memory']} memory"
    return f"Measured on {known['date']}: {daemons}; {where}; each work {record.runs} times.\n"
