"""`python -m benchmarks`: measure, print the table, and write or check what is recorded."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from benchmarks import check, document, record, report, runner
from benchmarks.contenders import KINDS
from benchmarks.contenders.contender import BenchError
from benchmarks.works import FIGURES, WORKS, Scale
from routerd.lab.waiting import LabError


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    works = [work.name for work in WORKS]
    parser.add_argument("--works", nargs="+", choices=works, default=works, metavar="WORK", help=", ".join(works))
    parser.add_argument("--contenders", nargs="+", choices=list(KINDS), default=list(KINDS), help="default: all")
    parser.add_argument("--runs", type=int, default=3, help="of each work; figures are medians (default: 3)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the counts, for a quick look (default: 1)")
    parser.add_argument("--json", type=Path, help="write all values to this file too")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md, its plot and the record")
    parser.add_argument("--check", action="store_true", help="compare the ratios with the recorded ones")
    return parser.parse_args()


def _stop(number: int, frame: FrameType | None) -> None:
    """Unwind once, so that namespaces and daemons go; further signals do not disturb that."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Return the exit code: 0, 1 for a failure or a regression, 130 when interrupted."""
    options = _arguments()
    if os.geteuid() != 0:
        print("the benchmark needs root: it makes network namespaces", file=sys.stderr)
        return 1
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    if options.write and options.scale != 1.0:
        print("only figures of full scale are written down", file=sys.stderr)
        return 1
    wanted = [work for work in WORKS if work.name in options.works]
    try:
        results, failures = runner.run(wanted, options.contenders, options.runs, Scale(options.scale))
    except KeyboardInterrupt:
        print("interrupted; everything is removed", file=sys.stderr)
        return 130
    except (BenchError, LabError) as error:
        print(f"failed: {error}", file=sys.stderr)
        return 1
    if options.scale != 1.0:
        print(f"Counts are {options.scale:g} of what the table says: its figures say nothing about the targets.")
    print(report.text(FIGURES, results))
    # Before anything is written: what was recorded is not to be compared with itself.
    regressions = check.regressions(FIGURES, record.load().results, results) if options.check else []
    found = record.Record(record.machine(), options.runs, results)
    if options.json is not None:
        record.save(found, options.json)
    if options.write:
        document.write(FIGURES, record.merged(found))
    for line in regressions + failures:
        print(line, file=sys.stderr)
    if options.check and not regressions:
        print("no regression")
    return 1 if regressions or failures else 0


if __name__ == "__main__":
    sys.exit(main())
