"""Works of `make bench` that take too long for every day, at a small scale: they complete, and nothing is left."""

from __future__ import annotations

import pytest
from benchmarks.works import WORKS
from benchmarks.works.work import Work

from tests.benchmarks.test_smoke import does
from tests.support.netns import needs_root

pytestmark = [needs_root, pytest.mark.timeout(300)]

SLOW = ("load-50", "rolling", "flap", "restart")


@pytest.mark.parametrize("work", [work for work in WORKS if work.name in SLOW], ids=lambda work: work.name)
def test_all_daemons_do_it(work: Work) -> None:
    does(work)
