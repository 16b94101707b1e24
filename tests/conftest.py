"""Tests run four at a time, those that measure time alone. In CI a test that does not run is a failure: nobody reads
the list of the skipped ones there.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.turns import turn

MEASURING = Path(__file__).parent / "failover"
"""All tests there are about how long something takes, or what happens meanwhile."""

CI = os.environ.get("CI", "").lower() not in ("", "0", "false", "no")

PROGRAMS = ("ip", "gobgpd", "gobgp", "bird", "birdc", "/usr/lib/frr/bgpd", "vtysh", "keepalived")
"""What `make test` installs and the tests start."""

settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy machine")  # what an example takes says more of the machine than of the code


def pytest_sessionstart() -> None:
    """End a CI run at once when it could only skip."""
    if not CI:
        return
    missing = [name for name in PROGRAMS if shutil.which(name) is None and not Path("/usr/sbin", name).exists()]
    if missing:
        pytest.exit(f"CI is set, and {', '.join(missing)} is missing: run .ci/setup test", returncode=1)
    if os.geteuid() != 0:
        pytest.exit("CI is set, and the tests need root for network namespaces", returncode=1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that run alone at the end, where nobody waits for them."""
    for item in items:
        if item.path.is_relative_to(MEASURING):
            item.add_marker("alone")
    items.sort(key=_alone)


def _alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Wait for this test's turn, before its time limit begins to run."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    common = Path(item.config.getoption("basetemp")).parent
    with turn(common, alone=_alone(item)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one; an expected failure stays one."""
    report = yield
    if CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped, which CI forbids: {_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a module that skips itself into an error."""
    report = yield
    if CI and report.skipped:
        report.outcome, report.longrepr = "failed", f"skipped, which CI forbids: {_reason(report)}"
    return report


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """What the skip said: the last part of (file, line, reason)."""
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
