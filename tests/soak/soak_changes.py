"""A thousand random joins, leaves, drains and silences: what is in the kernel is what the model says, ids and all."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from routerd.cli.client import Client
from routerd.config.model import FibSection
from routerd.core.route import format_address, format_prefix
from routerd.kernel.dump import dump
from routerd.kernel.wire import DumpInterruptedError
from tests.daemon.harness import Network, Routerd, becomes, network, node, node6, running
from tests.failover.agents import Agent, Agents, agents, configuration, logged, relearned
from tests.support.netns import needs_root

pytestmark = [needs_root, pytest.mark.timeout(1800)]

NODES = 8
CHANGES = int(os.environ.get("SOAK_CHANGES", "1000"))
LOOK = 10
"""Changes between two comparisons."""
VIPS = [f"172.16.1.{i}" for i in range(20)] + [f"fd00:ac10::1:{i:x}" for i in range(1, 11)]
LENGTHS = {False: "/32", True: "/128"}


class Story:
    """What the nodes did, and what should have come of it."""

    def __init__(self, net: Network, routerd: Routerd, nodes: Agents, seed: int) -> None:
        self.net, self.routerd, self.nodes = net, routerd, nodes
        self.chance = random.Random(seed)
        self.count: Counter[str] = Counter()
        self.away: set[Agent] = set()
        self.silent: set[Agent] = set()
        self.drained: set[Agent] = set()

    async def change(self) -> None:
        """Let one node do something, or something be done to it."""
        agent = self.chance.choice(self.nodes)
        what = self.chance.choice(["join or leave", "announce", "withdraw", "drain", "silence", "flap"])
        if agent in self.silent:
            what = "silence"
        elif agent in self.away:
            what = "join or leave"
        self.count[what] += 1
        if what in ("join or leave", "flap") and agent not in self.away:
            # A node whose session is not up yet cannot say that it leaves: what it has announced is held as stale.
            await becomes(lambda: agent.connected and self._state(agent), "established")
        if what == "join or leave":
            await self._session(agent)
        elif what == "flap":
            await agent.down(notify=self.chance.random() < 0.5)
            agent.up()
        elif what == "announce":
            agent.announce(*self.chance.sample(VIPS, 6))
        elif what == "withdraw":
            agent.withdraw(*self.chance.sample(VIPS, 6))
        elif what == "drain":
            self.drained ^= {agent}
            method = "PUT" if agent in self.drained else "DELETE"
            path = f"/v1/peers/{node(agent.number)}/drain"
            await asyncio.to_thread(Client(str(self.routerd.socket)).request, method, path)
        else:
            self._silence(agent)

    def _state(self, agent: Agent) -> str:
        """Return how the router sees a node's session."""
        peers = {peer["address"]: peer["state"] for peer in self.routerd.get("/v1/peers")}
        return str(peers.get(node(agent.number), "unknown"))

    async def _session(self, agent: Agent) -> None:
        self.away ^= {agent}
        if agent in self.away:
            await agent.down()
        else:
            agent.up()

    def _silence(self, agent: Agent) -> None:
        """Nobody answers to its addresses any more, or does again; its sessions are not told."""
        self.silent ^= {agent}
        what = "delete" if agent in self.silent else "add"
        self.net.nodes.ip("address", what, f"{node(agent.number)}/24", "dev", "eth0")
        self.net.nodes.ip(
            "address", what, f"{node6(agent.number)}/64", "dev", "eth0", *(["nodad"] if what == "add" else [])
        )

    def wanted(self) -> dict[str, set[str]]:
        """Return the gateways that every prefix should have."""
        gone = {agent.number for agent in self.away | self.silent}
        found = {
            vip + LENGTHS[":" in vip]: {(node6 if ":" in vip else node)(n) for n in self.nodes.members(vip) - gone}
            for vip in VIPS
        }
        return {vip: gateways for vip, gateways in found.items() if gateways}

    def differs(self) -> str:
        """Compare the kernel with what is wanted, and with routerd's model; say what is different."""
        try:
            with self.net.router.enter():
                found = dump(FibSection())
        except DumpInterruptedError:
            return "the kernel changes"
        gateways = {n.id: format_address(n.gateway.address) for n in found.nexthops if n.gateway}
        groups = {group.id: {m.id: m.weight for m in group.members} for group in found.groups}
        routes = {format_prefix(prefix): id_ for prefix, id_ in found.routes.items()}
        fib = {prefix: {gateways.get(member, "") for member in groups.get(id_, ())} for prefix, id_ in routes.items()}
        if fib != self.wanted():
            return f"the kernel has {_difference(fib, self.wanted())}"
        shown = {group["id"]: group for group in self.routerd.get("/v1/groups")}
        model = {id_: {m["nexthop_id"]: m["weight"] for m in group["members"]} for id_, group in shown.items()}
        if groups != model:
            return f"groups: kernel and model {_difference(groups, model)}"
        members = {m["nexthop_id"]: m["gateway"] for group in shown.values() for m in group["members"]}
        if gateways != members:
            return f"nexthops: kernel and model {_difference(gateways, members)}"
        rows = self.routerd.get("/v1/routes", limit=1000)["routes"]
        ids = {row["prefix"]: row["group_id"] for row in rows if row["in_fib"]}
        return "" if ids == routes else f"routes: kernel and model {_difference(routes, ids)}"


def _difference(one: dict[Any, Any], other: dict[Any, Any]) -> str:
    keys = [key for key in one.keys() | other.keys() if one.get(key) != other.get(key)]
    return "; ".join(f"{key}: {one.get(key)} and {other.get(key)}" for key in keys[:4])


@pytest.mark.parametrize("seed", [1])
async def test_a_thousand_changes(tmp_path: Path, seed: int) -> None:
    options = configuration("audit_interval = 1\nidle_timer = 1")
    with network() as net, running(net.router, tmp_path, options) as routerd:
        net.nodes.sysctl(net__ipv4__conf__all__promote_secondaries=1, net__ipv4__conf__eth0__promote_secondaries=1)
        async with agents(net, NODES) as nodes:
            for agent in nodes:
                agent.announce(*VIPS)
            await nodes.up()
            await relearned(routerd, nodes)
            story = Story(net, routerd, nodes, seed)
            started, waited = time.monotonic(), list[float]()
            for number in range(1, CHANGES + 1):
                await story.change()
                await asyncio.sleep(story.chance.random() * 0.05)
                if number % LOOK == 0:
                    since = time.monotonic()
                    await becomes(story.differs, "", 30)
                    waited.append(time.monotonic() - since)
            took = time.monotonic() - started
            groups, most = len(routerd.get("/v1/groups")), max(waited)
            print(f"\n{dict(story.count)} in {took:.0f} s; {groups} groups; equal after {most:.1f} s at most")
            assert logged(routerd, "drift mended") == []
            assert logged(routerd, "kernel refused") == []
            assert routerd.status()["fib"]["drift_mended"] == 0
