"""Every work on every daemon, at a small scale: they all complete, and nothing stays behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.contenders import KINDS
from benchmarks.works import FIGURES, WORKS, Scale
from benchmarks.works.work import Work

from benchmarks import runner
from tests.support.netns import needs_root

pytestmark = needs_root

_QUICK = ("load-1", "load-3", "announce", "subsets-50")
"""The others take half a minute each; `make soak` has them."""
_LITTLE = Scale(0.005)


def _processes() -> set[str]:
    names = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                names.add((entry / "cmdline").read_bytes().decode())
            except OSError:
                continue
    return {name for name in names if "routerd-bench-" in name or "benchmarks." in name}


@pytest.mark.parametrize("work", [work for work in WORKS if work.name in _QUICK], ids=lambda work: work.name)
def test_all_daemons_do_the_work(work: Work) -> None:
    does(work)


def does(work: Work) -> None:
    """Do a work at a small scale, with all daemons."""
    results, failures = runner.run([work], list(KINDS), 1, _LITTLE)
    assert failures == []
    for figure in work.figures:
        assert set(results[figure.key]) == set(KINDS)
        assert figure.unit == "n" or all(each.median > 0 for each in results[figure.key].values())
        assert figure.key in FIGURES
    assert _processes() == set()
