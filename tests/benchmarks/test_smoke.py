"""Every work on every daemon, at a small scale: they all complete, and nothing stays behind."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from benchmarks.contenders import KINDS
from benchmarks.figures import ROUTERD
from benchmarks.works import FIGURES, WORKS, Scale
from benchmarks.works.work import Work

from benchmarks import runner
from tests.support.netns import needs_root

pytestmark = needs_root

_QUICK = ("load-1", "load-3", "announce", "subsets-50")
"""The others take half a minute each; `make soak` has them."""
_LITTLE = Scale(0.005)


_MARK = f"ROUTERD_SMOKE={os.getpid()}"
"""In the environment of what is started here: other tests may start the same programs at the same time."""


def _processes() -> set[str]:
    """Return the command lines of what was started here and still runs."""
    names = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if _MARK.encode() in (entry / "environ").read_bytes().split(b"\0"):
                    names.add((entry / "cmdline").read_bytes().decode())
    return names


@pytest.mark.parametrize("work", [work for work in WORKS if work.name in _QUICK], ids=lambda work: work.name)
def test_all_daemons_do_the_work(work: Work) -> None:
    does(work)


def does(work: Work) -> None:
    """Do a work at a small scale, with all daemons."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(*_MARK.split("="))
        results, failures = runner.run([work], list(KINDS), 1, _LITTLE)
    assert failures == []
    for figure in work.figures:
        assert set(results[figure.key]) == ({ROUTERD} if work.alone else set(KINDS))
        assert figure.unit == "n" or all(each.median > 0 for each in results[figure.key].values())
        assert figure.key in FIGURES
    assert _processes() == set()
