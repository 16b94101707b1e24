"""A hundred SIGKILLs at random moments of churn: the FIB ends equal to what the nodes announce; no packet is lost."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.daemon.harness import Routerd, becomes, node, node6
from tests.failover.agents import Agents, agents, configuration, nexthops, relearned, wide_network
from tests.failover.stream import stream
from tests.support.netns import needs_root

pytestmark = [needs_root, pytest.mark.timeout(1800)]

NODES = 4
KILLS = int(os.environ.get("SOAK_KILLS", "100"))
STEADY = ("172.16.0.1", "fd00:ac10::1")
"""Announced by all nodes all the time, and under traffic."""
VIPS = [f"172.16.1.{i}" for i in range(40)] + [f"fd00:ac10::1:{i:x}" for i in range(1, 20)]
FOREIGN = "172.16.9.9"


class Churn:
    """Lets nodes announce and withdraw, lose their session and come back, at random."""

    def __init__(self, nodes: Agents, seed: int) -> None:
        self.nodes = nodes
        self.chance = random.Random(seed)
        self.changes = 0
        self.over = False

    async def change(self) -> None:
        """Let one node do something."""
        self.changes += 1
        agent, some = self.chance.choice(self.nodes), self.chance.sample(VIPS, 5)
        what = self.chance.random()
        if what < 0.45:
            agent.announce(*some)
        elif what < 0.9:
            agent.withdraw(*some)
        elif agent is not self.nodes[0]:
            await agent.down(notify=self.chance.random() < 0.5)
            agent.up()

    async def run(self) -> None:
        """Go on until it is over."""
        while not self.over:
            await self.change()
            await asyncio.sleep(self.chance.random() * 0.02)

    def wanted(self) -> dict[str, set[str]]:
        """Return the gateways that every prefix should have."""
        found = {vip: {(node6 if ":" in vip else node)(number) for number in self.nodes.members(vip)} for vip in VIPS}
        return {vip: gateways for vip, gateways in found.items() if gateways}


@pytest.mark.parametrize("seed", [1])
async def test_kills_under_churn(tmp_path: Path, seed: int) -> None:
    with wide_network(STEADY) as (net, client):
        net.router.ip("route", "add", FOREIGN, "via", "10.0.0.100", "metric", "20", "proto", "static")
        foreign = net.router.ip("route", "show", FOREIGN)
        routerd = Routerd(net.router, tmp_path, configuration())
        routerd.start()
        try:
            async with agents(net, NODES) as nodes:
                churn = Churn(nodes, seed)
                for agent in nodes:
                    agent.announce(*STEADY, *VIPS)
                await nodes.up()
                await relearned(routerd, nodes)
                for vip in STEADY:
                    await net.has(vip, *range(NODES))
                task = asyncio.create_task(churn.run())
                started = time.monotonic()
                # All nodes are one host: a packet is lost only where no route is.
                with stream(client, net.nodes, STEADY) as finish:
                    for number in range(KILLS):
                        await asyncio.sleep(churn.chance.random() * (2.0 if number % 4 else 0.2))
                        os.kill(routerd.pid, signal.SIGKILL)
                        await asyncio.to_thread(routerd.wait)
                        await asyncio.sleep(churn.chance.random() * 0.2)
                        await asyncio.to_thread(routerd.start)
                    killed = time.monotonic() - started
                    churn.over = True
                    await task
                    await nodes.up()
                    await relearned(routerd, nodes)

                    def fib() -> dict[str, set[str]]:
                        return {vip: found for vip in VIPS if (found := net.legs(vip))}

                    await becomes(fib, churn.wanted(), 200)
                    equal = time.monotonic() - started - killed
                    report = finish()
                groups = {net.nhid(vip) for vip in (*churn.wanted(), *STEADY)}

                def own() -> set[int]:
                    return {id_ for id_, (gateway, _, _) in nexthops(net).items() if not gateway}

                await becomes(own, groups, 60)
                swept = time.monotonic() - started - killed
                print(f"\n{KILLS} kills and {churn.changes} changes in {killed:.0f} s; {report}")
                print(f"the FIB was as wanted {equal:.1f} s after the last start, all was swept after {swept:.1f} s")
                assert (report.lost, report.unsent) == (0, 0)
                assert net.router.ip("route", "show", FOREIGN) == foreign
                assert routerd.status()["fib"]["refused"] == 0
        finally:
            routerd.kill()
