"""FRR on the same router, with a full table of its own, while routerd's nodes churn, and routerd itself is killed,
restarted and flushed: no route or nexthop of FRR's is ever changed, and routerd's FIB is right at the end."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from routerd.config.model import FibSection
from routerd.kernel.dump import dump
from routerd.kernel.wire import DumpInterruptedError
from tests.daemon.harness import ROUTER, Network, Routerd, becomes, cli, network, node
from tests.failover.agents import agents, configuration, relearned
from tests.soak.soak_kills import VIPS, Churn
from tests.support import bgp
from tests.support.frr import ASN, frr, needs_frr, peer
from tests.support.netns import needs_root

SECONDS = float(os.environ.get("SOAK_SECONDS", "3600"))
FULL = int(os.environ.get("SOAK_ROUTES", "150000"))
"""Routes that FRR has, besides the default route."""

pytestmark = [needs_root, needs_frr, pytest.mark.timeout(SECONDS + 900)]

NODES = 4
UPSTREAM = 50
"""The node that is FRR's peer."""
FIRST = int(ipaddress.ip_address("20.0.0.0"))
LOOK = 15.0
"""Seconds between two things that happen to routerd itself."""


def table() -> list[str]:
    """Return FRR's prefixes: /24s of 20.0.0.0/8 and what follows, and the default route."""
    return ["0.0.0.0/0", *(f"{ipaddress.ip_address(FIRST + (index << 8))}/24" for index in range(FULL))]


def frrs(net: Network) -> tuple[list[str], list[str]]:
    """Return all routes of the main table that lead to FRR's peer, and FRR's nexthops, as `ip` prints them."""
    via = f"via {node(UPSTREAM)} "
    routes = [line for line in net.router.ip("route", "show").splitlines() if via in line]
    return routes, [line for line in net.router.ip("nexthop", "show").splitlines() if "proto zebra" in line]


def counted(net: Network) -> int:
    """Return how many foreign routes of protocol bgp the kernel has; -1 if it changes too fast."""
    try:
        with net.router.enter():
            return dump(FibSection()).foreign_bgp.routes
    except DumpInterruptedError:
        return -1


@contextmanager
def untouched(net: Network, path: Path) -> Iterator[None]:
    """Fail if the kernel tells of any change to what is FRR's while the block lasts."""
    with path.open("w") as sink, net.router.spawn("ip", "-o", "monitor", "route", "nexthop", stdout=sink) as monitor:
        try:
            yield
        finally:
            assert monitor.poll() is None, "ip monitor has ended"
            monitor.kill()
    with path.open() as heard:
        theirs = [line for line in heard if f"via {node(UPSTREAM)} " in line or "proto zebra" in line]
    assert theirs == []


async def happen(what: str, net: Network, routerd: Routerd) -> None:
    """Let something happen to routerd itself."""
    if what == "kill":
        os.kill(routerd.pid, signal.SIGKILL)
        await asyncio.to_thread(routerd.wait)
    elif what == "restart":
        assert await asyncio.to_thread(routerd.stop) == 0
    elif what == "flush":
        os.kill(routerd.pid, signal.SIGKILL)
        await asyncio.to_thread(routerd.wait)
        with net.router.enter():
            done = cli("flush", "--config", str(routerd.config))
        assert (done.returncode, done.stderr) == (0, "")
    if not routerd.running:
        await asyncio.to_thread(routerd.start)


@pytest.mark.parametrize("seed", [1])
async def test_a_full_table_of_frr_is_untouched(tmp_path: Path, seed: int) -> None:
    with network() as net, frr(net.router, ROUTER, node(UPSTREAM)) as other:
        other.start()
        async with await peer(net.nodes, ROUTER, node(UPSTREAM)) as client:
            prefixes = table()
            attributes = bgp.attributes(next_hop=node(UPSTREAM), as_path=(ASN,))
            for start in range(0, len(prefixes), 800):
                client.send(bgp.update(attributes, prefixes[start : start + 800]))
            await becomes(lambda: counted(net), len(prefixes), 300)
            before = frrs(net)
            assert len(before[0]) == len(prefixes)
            routerd = Routerd(net.router, tmp_path, configuration("audit_interval = 5\nidle_timer = 1"))
            try:
                with untouched(net, tmp_path / "monitor"):
                    await _churn(net, routerd, seed, len(prefixes))
                assert await asyncio.to_thread(routerd.stop) == 0
            finally:
                routerd.kill()
            assert frrs(net) == before


async def _churn(net: Network, routerd: Routerd, seed: int, routes: int) -> None:
    """Let nodes come and go, and routerd too, for the time of the test."""
    routerd.start()
    async with agents(net, NODES) as nodes:
        churn, chance, count = Churn(nodes, seed), random.Random(seed), Counter[str]()
        for agent in nodes:
            agent.announce(*VIPS)
        await nodes.up()
        await relearned(routerd, nodes)
        task = asyncio.create_task(churn.run())
        end, most = time.monotonic() + SECONDS, 0
        while time.monotonic() < end:
            await asyncio.sleep(min(LOOK, max(0.0, end - time.monotonic())))
            most = max(most, routerd.rss())
            what = chance.choice(["kill", "restart", "flush", "nothing", "nothing"])
            count[what] += 1
            await happen(what, net, routerd)
            assert counted(net) in (routes, -1)
        churn.over = True
        await task
        await nodes.up()
        await relearned(routerd, nodes)

        def fib() -> dict[str, set[str]]:
            return {vip: found for vip in VIPS if (found := net.legs(vip))}

        await becomes(fib, churn.wanted(), 200)
        await becomes(routerd.problems, {}, 60)
        foreign = routerd.status()["fib"]["foreign_bgp"]["routes"]
        assert foreign == routes
        print(
            f"\n{churn.changes} changes, {dict(count)} in {SECONDS:.0f} s beside {foreign} routes of FRR; {most} KiB"
        )
