"""The table, the document with its marks, the chart and the record."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmarks.figures import Figure, Measured, Results, Target
from benchmarks.works import FIGURES, WORKS

from benchmarks import document, plot, record, report

ONE = {"load": Figure("load", "load <all>", target=Target(frr=0.5)), "cpu": Figure("cpu", "CPU", "%")}
RESULTS: Results = {
    "load": {"routerd": Measured((0.2, 0.1, 0.3)), "frr": Measured((1.0,)), "bird": Measured((0.1,))},
    "cpu": {"routerd": Measured((0.05,))},
}
MACHINE = {"date": "2026-01-02", "kernel": "Linux 6.18", "cores": "2", "memory": "4 GB", "frr": "FRR 1"}


def test_the_table_has_medians_ratios_and_verdicts() -> None:
    assert report.rows(ONE, RESULTS) == [
        ("load <all>", "0.20 s", "1.00 s", "0.10 s", "0.20", "2.00", "<= 0.5 x FRR", "yes"),
        ("CPU", "5.00 %", "-", "-", "-", "-", "completes", "yes"),
    ]


def test_what_was_not_measured_has_no_line() -> None:
    assert report.rows(ONE, {"cpu": RESULTS["cpu"]})[0][0] == "CPU"
    assert len(report.rows(ONE, {})) == 0
    assert "work" in report.text(ONE, {})


def test_columns_are_aligned() -> None:
    lines = report.text(ONE, RESULTS).splitlines()
    assert lines[0].index("FRR") == lines[2].index("1.00 s")
    assert len(lines) == 4


def test_the_ranges_say_how_many_values_there_are() -> None:
    assert "| load <all> | 0.10 s to 0.30 s (3) |" in report.spread(ONE, RESULTS)


def test_only_what_stands_between_marks_is_replaced() -> None:
    page = "a\n<!-- table: written by make bench -->\nold\n\\1\n<!-- /table -->\nb\n"
    wanted = "a\n<!-- table: written by make bench -->\nnew \\1\n<!-- /table -->\nb\n"
    assert document.replaced(page, "table", "new \\1\n") == wanted
    with pytest.raises(ValueError, match="stands there 0 times"):
        document.replaced(page, "ranges", "")


def test_the_document_can_be_written(tmp_path: Path) -> None:
    page, chart = tmp_path / "page.md", tmp_path / "chart.svg"
    page.write_text(document.PAGE.read_text())
    document.write(ONE, record.Record(MACHINE, 3, RESULTS), page, chart)
    assert "| load <all> | 0.20 s | 1.00 s |" in page.read_text()
    assert "Measured on 2026-01-02: FRR 1; Linux 6.18, 2 cores, 4 GB memory; each work 3 times." in page.read_text()
    assert chart.exists()


def test_the_chart_is_well_formed_and_has_a_bar_for_each_daemon() -> None:
    root = ElementTree.fromstring(plot.svg(ONE, RESULTS))
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "load <all>" in texts
    assert {"0.20 s", "1.00 s", "0.10 s"} <= set(texts)
    assert "CPU" not in texts  # nobody to compare with


@pytest.mark.parametrize("results", [{}, {"load": {"routerd": Measured((0.0,)), "frr": Measured((1.0,))}}])
def test_a_chart_of_nothing_is_empty(results: Results) -> None:
    assert "load" not in plot.svg(ONE, results)


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "recorded.json"
    assert record.load(file) == record.Record({}, 0, {})
    saved = record.Record(MACHINE, 3, RESULTS)
    record.save(saved, file)
    assert record.load(file) == saved


def test_a_part_of_the_works_leaves_the_record_of_the_others(tmp_path: Path) -> None:
    file = tmp_path / "recorded.json"
    record.save(record.Record(MACHINE, 3, RESULTS), file)
    now: Results = {"cpu": {"routerd": Measured((0.01,))}}
    assert record.merged(record.Record(MACHINE, 5, now), file).results == RESULTS | now
    assert record.load(file).results == RESULTS | now


def test_a_record_says_from_when_its_oldest_and_newest_figures_are(tmp_path: Path) -> None:
    file = tmp_path / "recorded.json"
    days, part = [MACHINE | {"date": f"2026-01-0{day}"} for day in (2, 2, 3, 4, 5)], dict(list(RESULTS.items())[:1])
    told = [record.merged(record.Record(day, 3, part), file).machine["date"] for day in days[:1]]
    record.save(record.Record(days[0], 3, RESULTS), file)
    told += [record.merged(record.Record(day, 3, part), file).machine["date"] for day in days[1:4]]
    told += [record.merged(record.Record(days[4], 3, RESULTS), file).machine["date"]]
    assert told == [
        "2026-01-02", "2026-01-02", "2026-01-02 to 2026-01-03", "2026-01-02 to 2026-01-04", "2026-01-05",
    ]  # fmt: skip


def test_names_of_works_and_figures_are_unique() -> None:
    assert len({work.name for work in WORKS}) == len(WORKS)
    assert len(FIGURES) == sum(len(work.figures) for work in WORKS)
