"""Ten minutes in which nothing happens, on a busy machine: no false alarm, no session lost, nothing written."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.daemon.harness import running
from tests.failover.agents import agents, configuration, logged, nexthops, own_routes, relearned, wide_network
from tests.failover.pressure import asked, spread
from tests.support.netns import Namespace, needs_root

pytestmark = [needs_root, pytest.mark.timeout(1800)]

NODES = 20
SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
BUSY = int(os.environ.get("SOAK_BUSY", "4"))
VIPS = [f"172.16.1.{i}" for i in range(20)] + [f"fd00:ac10::{i:x}" for i in range(1, 20)]


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep the processors busy."""
    with ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(process.kill)
        yield


@contextmanager
def monitored(router: Namespace, path: Path) -> Iterator[Path]:
    """Let `ip monitor` write down all that happens to nexthops and routes."""
    with path.open("w") as file, router.spawn("ip", "monitor", "nexthop", "route", stdout=file) as process:
        try:
            yield path
        finally:
            process.kill()


def processor(pid: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_nothing_happens(tmp_path: Path) -> None:
    with wide_network(()) as (net, _), running(net.router, tmp_path, configuration()) as routerd:
        async with agents(net, NODES, hold=9) as nodes:
            for agent in nodes:
                agent.announce(*VIPS)
            await nodes.up()
            await relearned(routerd, nodes)
            before = (nexthops(net), own_routes(net))
            assert len(before[1]) == len(VIPS)
            speaker = routerd.status()["speaker"]["pid"]
            assert speaker is not None
            pids = (routerd.pid, speaker)
            used = [processor(pid) for pid in pids]
            started = time.monotonic()
            with monitored(net.router, tmp_path / "monitor") as heard, busy(BUSY), asked(routerd, pause=1.0) as api:
                while time.monotonic() < started + SECONDS:
                    await asyncio.sleep(1.0)
                    assert [agent.losses for agent in nodes] == [0] * NODES
                took = time.monotonic() - started
            share = [100 * (processor(pid) - was) / took for pid, was in zip(pids, used, strict=True)]
            print(
                f"\n{NODES} nodes, {took:.0f} s, {BUSY} busy processes: processor {share[0]:.2f} % for routerd and "
                f"{share[1]:.2f} % for its speaker; API {spread(api)}"
            )
            lines = [line for line in heard.read_text().splitlines() if "proto bgp" in line]
            assert lines == []
            assert (nexthops(net), own_routes(net)) == before
            assert logged(routerd, "neighbour is silent") == []
            assert logged(routerd, "peer down") == []
            assert logged(routerd, "drift mended") == []
            assert routerd.status()["speaker"]["restarts"] == 0
            assert routerd.problems() == {}
