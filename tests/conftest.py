"""In CI a test that does not run is a failure: nobody reads the list of the skipped ones there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

CI = os.environ.get("CI", "").lower() not in ("", "0", "false", "no")

PROGRAMS = ("ip", "gobgpd", "gobgp", "bird", "birdc", "/usr/lib/frr/bgpd", "vtysh")
"""What `make test` installs and the tests start."""


def pytest_sessionstart() -> None:
    """End a CI run at once when it could only skip."""
    if not CI:
        return
    missing = [name for name in PROGRAMS if shutil.which(name) is None and not Path("/usr/sbin", name).exists()]
    if missing:
        pytest.exit(f"CI is set, and {', '.join(missing)} is missing: run .ci/setup test", returncode=1)
    if os.geteuid() != 0:
        pytest.exit("CI is set, and the tests need root for network namespaces", returncode=1)


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
