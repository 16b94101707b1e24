"""What was measured, as JSON: benchmarks/recorded.json is what `make bench-check` compares with."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.contenders import KINDS
from benchmarks.figures import Measured, Results

BETWEEN = " to "
"""Between the dates of what was not measured on the same day."""
RECORDED = Path(__file__).with_name("recorded.json")


@dataclass(frozen=True, slots=True)
class Record:
    """`machine` says on what it was measured, `runs` how often each work was done."""

    machine: dict[str, str]
    runs: int
    results: Results


def machine() -> dict[str, str]:
    """Describe the machine and the daemons."""
    versions = {name: kind.version() for name, kind in KINDS.items() if not kind.missing()}
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "date": date.today().isoformat(),
        "kernel": f"Linux {'.'.join(platform.release().split('.')[:2])}",
        "cores": str(os.cpu_count()),
        "memory": f"{memory / 1e9:.0f} GB",
        **versions,
    }


def save(record: Record, file: Path = RECORDED) -> None:
    """Write a record."""
    results = {
        key: {name: [float(f"{value:.6g}") for value in each.values] for name, each in measured.items()}
        for key, measured in record.results.items()
    }
    text = json.dumps({"machine": record.machine, "runs": record.runs, "results": results}, indent=1)
    file.write_text(text + "\n")


def load(file: Path = RECORDED) -> Record:
    """Read a record; an empty one if there is none."""
    if not file.exists():
        return Record({}, 0, {})
    found = json.loads(file.read_text())
    results = {
        key: {name: Measured(tuple(values)) for name, values in measured.items()}
        for key, measured in found["results"].items()
    }
    return Record(found["machine"], found["runs"], results)


def merged(new: Record, file: Path = RECORDED) -> Record:
    """Write a record over the one that is there, of which it keeps the works that were not done now, and since when
    the oldest may be; return it."""
    old, today = load(file), new.machine["date"]
    since = old.machine["date"].split(BETWEEN)[0] if old.results.keys() - new.results.keys() else today
    days = BETWEEN.join(dict.fromkeys((since, today)))
    record = Record(new.machine | {"date": days}, new.runs, old.results | new.results)
    save(record, file)
    return record
