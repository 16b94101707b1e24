"""Many groups: a thousand prefixes, each with members of its own, within the budget of buckets."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from routerd.config.model import FibSection
from routerd.core.message import KernelDump
from routerd.core.route import format_address, format_prefix
from routerd.kernel.dump import dump
from routerd.kernel.wire import DumpInterruptedError
from tests.daemon.harness import Network, becomes, network, node, running
from tests.failover.agents import Agents, agents, configuration, relearned
from tests.failover.pressure import NexthopWatch
from tests.support.netns import needs_root

pytestmark = needs_root

NODES, GROUPS = 12, 1000
SUBSETS = [set(range(NODES))] + [
    {n for n in range(NODES) if mask >> n & 1} for mask in random.Random(1).sample(range(1, 1 << NODES), GROUPS - 1)
]
PREFIXES = [f"172.17.{i >> 8}.{i & 255}/32" for i in range(GROUPS)]


def kernel(net: Network) -> KernelDump:
    """Read the router's kernel, between the daemon's writes."""
    with net.router.enter():
        while True:
            with suppress(DumpInterruptedError):
                return dump(FibSection())


def fib(found: KernelDump) -> dict[str, set[str]]:
    """Return the gateways of every route of routerd's. The parts of a dump may be of different moments."""
    gateways = {n.id: format_address(n.gateway.address) for n in found.nexthops if n.gateway}
    members = {group.id: {gateways.get(member.id, "") for member in group.members} for group in found.groups}
    return {format_prefix(prefix): members.get(id_, set()) for prefix, id_ in found.routes.items()}


def wanted(subsets: Sequence[set[int]]) -> dict[str, set[str]]:
    """Return the gateways that the prefixes should have."""
    return {prefix: {node(n) for n in some} for prefix, some in zip(PREFIXES, subsets, strict=True) if some}


def buckets(found: KernelDump) -> int:
    """Count the buckets of all groups."""
    return sum(group.buckets for group in found.groups)


def vmalloc() -> int:
    """Return the KiB of kernel memory of the kind that tables of buckets take; everybody's, so it is only near."""
    found = re.search(r"VmallocUsed:\s+(\d+)", Path("/proc/meminfo").read_text())
    assert found is not None
    return int(found[1])


async def parted(net: Network, nodes: Agents) -> None:
    """Every prefix gets its own members, and the kernel follows."""
    for agent in nodes:
        agent.withdraw(*(p for p, some in zip(PREFIXES, SUBSETS, strict=True) if agent.number not in some))
    await becomes(lambda: fib(kernel(net)) == wanted(SUBSETS), True, 60)


async def test_a_thousand_groups(tmp_path: Path) -> None:
    with network() as net, running(net.router, tmp_path, configuration("idle_timer = 2")) as routerd:
        budget = 1 << 20
        memory, resident = vmalloc(), routerd.rss()
        async with agents(net, NODES) as nodes:
            for agent in nodes:
                agent.announce(*(p for p, some in zip(PREFIXES, SUBSETS, strict=True) if agent.number in some))
            started = time.monotonic()
            await nodes.up()
            await becomes(lambda: fib(kernel(net)) == wanted(SUBSETS), True, 60)
            found = kernel(net)
            print(
                f"{len(found.groups)} groups with {buckets(found)} buckets after {time.monotonic() - started:.1f} s, "
                f"{(vmalloc() - memory) >> 10} MiB of the kernel, {(routerd.rss() - resident) >> 10} MiB of routerd"
            )
            assert buckets(found) <= budget
            watch = NexthopWatch(net.router)
            try:
                for leaver in (3, 7):
                    id_ = watch.exists(leaver)
                    count = sum(any(member.id == id_ for member in group.members) for group in found.groups)
                    started = time.monotonic()
                    await nodes[leaver].down()
                    took = await asyncio.to_thread(watch.deleted, id_) - started
                    print(f"a node of {count} groups is out after {1000 * took:.1f} ms", end="; ")
                    assert took < 0.5
                    started = time.monotonic()
                    left = [some - {leaver} for some in SUBSETS]
                    await becomes(lambda: fib(kernel(net)), wanted(left), 30)
                    assert buckets(kernel(net)) <= budget
                    nodes[leaver].up()
                    await becomes(lambda: fib(kernel(net)) == wanted(SUBSETS), True, 60)
                    assert buckets(kernel(net)) <= budget
                    print(f"and back within {time.monotonic() - started:.1f} s")
            finally:
                watch.close()
            await relearned(routerd, nodes)
            assert [agent.losses for agent in nodes] == [0] * NODES


@pytest.mark.parametrize("budget", [65536])
async def test_a_group_that_parts_into_a_thousand(tmp_path: Path, budget: int) -> None:
    """Most prefixes share a group at first. What parts from it is made like it, but not beyond the budget; then
    groups are small: a few buckets for every member, whatever the budget."""
    options = configuration(f"bucket_budget = {budget}\nidle_timer = 2")
    with network() as net, running(net.router, tmp_path, options) as routerd:
        async with agents(net, NODES, hold=9) as nodes:
            await nodes.up()
            for count in (1, NODES):  # a table; whoever announces it as well joins the group that all of it shares
                for agent in nodes[:count]:
                    agent.announce(*PREFIXES)
                await becomes(lambda count=count: fib(kernel(net)) == wanted([set(range(count))] * GROUPS), True, 30)
            assert len(kernel(net).groups) < GROUPS / 2  # what came first, before it was seen to be many
            started = time.monotonic()
            await parted(net, nodes)
            found = kernel(net)
            print(f"{len(found.groups)} groups with {buckets(found)} buckets, {time.monotonic() - started:.1f} s")
            assert buckets(found) <= budget + 64 * len(found.groups)
            await relearned(routerd, nodes)
            assert [agent.losses for agent in nodes] == [0] * NODES
