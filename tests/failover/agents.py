"""Nodes whose speakers come back by themselves, for tests that kill routerd, its speaker, or the link.

with backed(fib="audit_interval = 1") ...
async with agents(network, 4) as nodes:
    nodes[0].announce("172.16.1.1/32")
    await nodes.up()
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from tests.daemon.harness import CONFIG, Network, Routerd, announcement, becomes, network, node
from tests.support import bgp
from tests.support.netns import Namespace, namespace, veth

GRACEFUL = bgp.Graceful(time=60, families={bgp.IPV4: True, bgp.IPV6: True})
CLIENT, CLIENT6 = "10.9.0.2", "fd09::2"
_PORTION = 200
_REDIAL, _LONG = 0.05, 86400.0


def configuration(fib: str = "", liveness: str = "") -> str:
    """Return routerd's configuration, with lines for two of its sections."""
    return f'{CONFIG}\n[fib]\n{fib}\n[liveness]\n{liveness}\n[drain]\nstate_file = ""\n'


class Agent:
    """A node: `announced` is what it announces, again with every session that it opens."""

    def __init__(self, net: Network, number: int, dialling: asyncio.Lock, hold: int) -> None:
        self.number = number
        self.announced: set[str] = set()
        self.losses = 0
        """How often the router ended a session or the connection was lost."""
        self._network = net
        self._dialling = dialling
        self._hold = hold
        self._client: bgp.Client | None = None
        self._wanted = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def __repr__(self) -> str:
        return node(self.number)

    @property
    def connected(self) -> bool:
        """Whether the session is up, as far as the node knows."""
        return self._client is not None

    def keepalives(self) -> int:
        """Return how many KEEPALIVEs the present session has heard."""
        heard = self._client.heard if self._client is not None else []
        return sum(kind == bgp.KEEPALIVE for kind, _ in heard)

    def announce(self, *prefixes: str) -> None:
        """Announce prefixes from now on."""
        self.announced.update(prefixes)
        if self._client is not None:
            self._announce(self._client, prefixes)

    def withdraw(self, *prefixes: str) -> None:
        """Withdraw prefixes."""
        self.announced.difference_update(prefixes)
        if self._client is not None:
            for some in _portions(prefix for prefix in prefixes if ":" not in prefix):
                self._client.send(bgp.update(withdrawn=some))
            for some in _portions(prefix for prefix in prefixes if ":" in prefix):
                self._client.send(bgp.update(bgp.mp_unreach(some)))

    def up(self) -> None:
        """Have a session from now on."""
        self._wanted.set()

    async def down(self, *, notify: bool = True) -> None:
        """End the session, with a Cease (or as a crash does), and have none until `up`."""
        await self._end(notify=notify)
        self._task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Stop for good."""
        await self._end(notify=False)

    async def _end(self, *, notify: bool) -> None:
        self._wanted.clear()
        client, self._client = self._client, None
        if client is not None:
            if notify:
                client.send(bgp.notification(6, 2))
                with suppress(TimeoutError):
                    await client.flushed(10.0)
            await client.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _announce(self, client: bgp.Client, prefixes: Iterable[str]) -> None:
        every = sorted(prefixes)
        for some in _portions(prefix for prefix in every if ":" not in prefix):
            client.send(announcement(self.number, *some))
        for some in _portions(prefix for prefix in every if ":" in prefix):
            client.send(announcement(self.number, *some))

    async def _run(self) -> None:
        while True:
            await self._wanted.wait()
            client = await self._dial()
            if client is None:
                await asyncio.sleep(_REDIAL)
                continue
            self._client = client
            self._announce(client, self.announced)
            client.send(bgp.end_of_rib(bgp.IPV4) + bgp.end_of_rib(bgp.IPV6))
            await client.closed(_LONG)
            self._client = None
            self.losses += 1
            await client.close()

    async def _dial(self) -> bgp.Client | None:
        client = None
        try:
            async with self._dialling:  # the thread is in the nodes' namespace meanwhile
                client = await self._network.connect(
                    self.number, asn=65001, hold=self._hold, graceful=GRACEFUL, seconds=1.0
                )
            await client.establish()
        except BaseException as error:
            if client is not None:
                await client.close()
            if isinstance(error, OSError | TimeoutError | bgp.ClosedError):
                return None
            raise
        return client


def _portions(prefixes: Iterable[str]) -> Iterator[list[str]]:
    every = list(prefixes)
    for start in range(0, len(every), _PORTION):
        yield every[start : start + _PORTION]


class Agents(list[Agent]):
    """All nodes of a test."""

    async def up(self, seconds: float = 20.0) -> None:
        """Bring all sessions up."""
        for agent in self:
            agent.up()
        await becomes(lambda: [agent for agent in self if not agent.connected], [], seconds)

    def members(self, prefix: str) -> set[int]:
        """Return the numbers of the nodes that announce a prefix."""
        return {agent.number for agent in self if prefix in agent.announced}


@asynccontextmanager
async def agents(net: Network, count: int, *, hold: int = 90) -> AsyncIterator[Agents]:
    """Make nodes; they dial in once told to be `up`."""
    dialling = asyncio.Lock()
    made = Agents(Agent(net, number, dialling, hold) for number in range(count))
    try:
        yield made
    finally:
        for agent in made:
            await agent.end()


async def relearned(
    routerd: Routerd, nodes: Sequence[Agent], seconds: float = 20.0, others: dict[str, int] | None = None
) -> None:
    """Wait until all sessions are up and routerd has heard, anew, all that the nodes, and others, announce, and until
    all have their shares."""
    wanted = {node(agent.number): len(agent.announced) for agent in nodes} | (others or {})

    def heard() -> dict[str, int]:
        return {
            peer["address"]: peer["totals"]["accepted"] - peer["totals"]["stale"]
            for peer in routerd.get("/v1/peers")
            if peer["state"] == "established"
        }

    await becomes(heard, wanted, seconds)
    await becomes(lambda: _unsettled(routerd), [], seconds)


def _unsettled(routerd: Routerd) -> list[int]:
    """Return the groups that do not have their weights yet, or lack a member that the RIB wants: prefixes wait for
    each other when nodes come. Drained nodes leave by themselves, and nodes of before a restart may have to come."""
    drained = {peer["address"] for peer in routerd.get("/v1/peers") if peer["drain"]}
    groups = {group["id"]: group for group in routerd.get("/v1/groups")}
    found = {id_ for id_, group in groups.items() if not group["balanced"]}
    for row in routerd.get("/v1/routes", limit=1000)["routes"]:
        if row["in_fib"]:
            members = groups.get(row["group_id"], {"members": []})["members"]
            if not set(row["next_hops"]) - drained <= {member["gateway"] for member in members}:
                found.add(row["group_id"])
    return sorted(found)


@contextmanager
def wide_network(vips: Sequence[str]) -> Iterator[tuple[Network, Namespace]]:
    """The harness's network with a client behind the router, and nodes that answer to these addresses."""
    with network() as net, namespace("client") as client:
        client.sysctl(net__ipv6__conf__all__accept_dad=0, net__ipv6__conf__default__accept_dad=0)
        veth(net.router, "eth9", client, "eth0")
        net.router.address("eth9", "10.9.0.1/24", "fd09::1/64")
        client.address("eth0", f"{CLIENT}/24", f"{CLIENT6}/64")
        client.ip("route", "add", "default", "via", "10.9.0.1")
        client.ip("-6", "route", "add", "default", "via", "fd09::1")
        net.nodes.ip("route", "add", "default", "via", "10.0.0.1")
        net.nodes.ip("-6", "route", "add", "default", "via", "fd00::1")
        for vip in vips:
            net.nodes.ip("address", "add", vip, "dev", "lo")
        yield net, client


def logged(routerd: Routerd, event: str) -> list[dict[str, Any]]:
    """Return the entries of routerd's log of an event."""
    lines = routerd.log.read_text().splitlines() if routerd.log.exists() else []
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    return [entry for entry in entries if entry["event"] == event]


def nexthops(net: Network) -> dict[int, tuple[Any, ...]]:
    """Return routerd's nexthop objects and groups by id, less the counters that go on by themselves."""
    found: dict[int, tuple[Any, ...]] = {}
    for entry in net.router.ip_json("nexthop", "show"):
        if entry.get("protocol") == "bgp":
            members = tuple((member["id"], member.get("weight", 1)) for member in entry.get("group", ()))
            resilient = entry.get("resilient_args", {})
            timers = tuple(resilient.get(key) for key in ("buckets", "idle_timer", "unbalanced_timer"))
            found[cast("int", entry["id"])] = (entry.get("gateway", ""), members, timers)
    return found


def own_routes(net: Network) -> dict[str, int]:
    """Return routerd's routes: prefix to nexthop id. A host route is told without its length, as `ip` does."""
    found = [route for v in ("-4", "-6") for route in net.router.ip_json(v, "route", "show", "proto", "bgp")]
    return {route["dst"]: route.get("nhid", 0) for route in found if route.get("metric") == 20}


def scratch(directory: Path, name: str, lines: Iterable[str]) -> str:
    """Write lines to a file for `ip -batch` and return its path."""
    path = directory / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)
