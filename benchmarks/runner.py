"""Runs works on daemons in turn, so that whatever else the machine does meets all of them alike."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from benchmarks import processes, stretch
from benchmarks.contenders import KINDS
from benchmarks.contenders.contender import BenchError
from benchmarks.figures import ROUTERD, Measured, Results
from benchmarks.works import Scale, Work
from routerd.lab.waiting import LabError


def run(works: Sequence[Work], contenders: Sequence[str], runs: int, scale: Scale) -> tuple[Results, list[str]]:
    """Return the values of all figures, and a line for each daemon that could not do a work."""
    for name in contenders:
        if missing := KINDS[name].missing():
            raise BenchError(f"{name}: {', '.join(missing)} is not installed; .ci/setup test installs it")
    values: dict[str, dict[str, list[float]]] = {}
    failures: list[str] = []
    processes.drop_caches()
    for work in works:
        processes.compact()
        taking_part = [name for name in contenders if name == ROUTERD or not work.alone]
        for number in range(runs):
            for name in list(taking_part):
                started = time.monotonic()
                try:
                    found = work.run(KINDS[name], scale)
                except (BenchError, LabError) as error:
                    failures.append(f"{work.name}: {name}: {error}")
                    taking_part.remove(name)
                    _say(work, name, number, f"failed: {error}")
                    continue
                for key, each in found.items():
                    values.setdefault(key, {}).setdefault(name, []).extend(each)
                shown = ", ".join(_shown(work, key, each) for key, each in found.items()) + stretch.taken()
                _say(work, name, number, f"{shown}  ({time.monotonic() - started:.1f} s)")
    return {key: {name: Measured(tuple(v)) for name, v in by.items()} for key, by in values.items()}, failures


def _shown(work: Work, key: str, values: list[float]) -> str:
    figure = next(figure for figure in work.figures if figure.key == key)
    return f"{key} {figure.text(Measured(tuple(values)).median)}"


def _say(work: Work, name: str, number: int, text: str) -> None:
    print(f"{work.name:11} {name:8} run {number + 1}: {text}", file=sys.stderr, flush=True)
