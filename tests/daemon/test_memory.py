"""How much memory routerd takes before there is a route: the benchmark's figure, at its worst."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import processes
from tests.daemon.harness import Network, running
from tests.support.netns import needs_root

pytestmark = [needs_root, pytest.mark.alone]  # on a busy machine threads meet in malloc, and it makes more arenas

MOST = 66_000_000


async def test_both_processes_together(network: Network, tmp_path: Path) -> None:
    """Proportional set sizes would be smaller the more other programs in Python run: shared pages count in full."""
    with running(network.router, tmp_path) as daemon:
        pids = processes.family([daemon.pid])
        assert len(pids) == 2
        private = sum(_kibibytes(pid, "Anonymous") for pid in pids)
        shared = max(_kibibytes(pid, "Rss") - _kibibytes(pid, "Anonymous") for pid in pids)
        used = 1024 * (private + shared)
        print(f"{used / 1e6:.1f} MB, {1024 * private / 1e6:.1f} MB of them private")
        assert used < MOST
        assert processes.memory(pids) < MOST


def _kibibytes(pid: int, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])
