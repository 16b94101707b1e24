"""`routerd log`: the level of the running daemon's log changes, and the log says who changed it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.daemon.harness import CONFIG, Routerd, network, running
from tests.support.netns import needs_root

pytestmark = needs_root


@pytest.fixture
def routerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routerd]:
    with network() as made, running(made.router, tmp_path_factory.mktemp("daemon"), CONFIG) as daemon:
        yield daemon


def test_the_level_changes_while_it_runs(routerd: Routerd) -> None:
    has = "the log has what is of level error or above"
    assert json.loads(routerd.cli("log", "--json").stdout) == {"level": "info", "changed": False}
    assert routerd.cli("log", "error").stdout == f"{has} now\n"
    assert '"log level"' in routerd.log.read_text()
    assert routerd.cli("log", "error").stdout == f"{has} already\n"
    assert routerd.cli("log").stdout == f"{has}\n"
    before = routerd.log.read_text()
    assert routerd.cli("log", "warning").returncode == 0
    assert routerd.log.read_text() == before, "that is no error"
    assert routerd.cli("log", "info").returncode == 0
    assert '"log level"' in routerd.log.read_text().removeprefix(before)
    assert routerd.cli("log", "loud").returncode == 2
