"""The mass works of `make bench`, once each beside FRR and BIRD: they complete, and their targets are met."""

from __future__ import annotations

import pytest
from benchmarks.contenders import KINDS
from benchmarks.figures import met
from benchmarks.works import WORKS, Scale
from benchmarks.works.work import Work

from benchmarks import report, runner
from tests.support.netns import needs_root

pytestmark = [needs_root, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("work", [work for work in WORKS if work.mass], ids=lambda work: work.name)
def test_a_mass(work: Work) -> None:
    results, failures = runner.run([work], list(KINDS), 1, Scale())
    figures = {figure.key: figure for figure in work.figures}
    print(f"\n{report.text(figures, results)}")
    assert failures == []
    assert [figure.title for figure in work.figures if met(figure, results[figure.key]) is not True] == []
