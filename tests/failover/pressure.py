"""What others notice while one node loads a great many prefixes: lost nodes, keepalives, and the API.

async with pressed(directory, small_nodes=20) as site:
    figures = await site.load(100_000)
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from routerd.core.message import KernelNexthop
from routerd.core.route import parse_address
from routerd.kernel import parse, wire
from routerd.kernel.dump import objects
from routerd.lab.waiting import until
from tests.daemon.harness import ROUTER, Network, Routerd, becomes, network, node
from tests.failover.agents import Agents, agents, configuration, relearned
from tests.support.netns import Namespace

GENERATOR = Path(__file__).parents[2] / "benchmarks" / "generator.py"
VIP = "172.16.1.1"
LOADER = 60
"""The number of the node that loads."""
HOLD = 9
_RTMGRP_NEXTHOP = 1 << 31
_STAND_IN = 1 << 30
"""From here on are ids that the daemon uses for a moment, with the gateway of some node."""


@dataclass
class Figures:
    """What was measured while prefixes were loaded, or withdrawn, in seconds."""

    prefixes: int = 0
    took: float = 0.0
    lost: list[float] = field(default_factory=list)
    """From the end of a node's session to the end of its nexthop object."""
    api: list[float] = field(default_factory=list)
    keepalives: list[float] = field(default_factory=list)
    """Between two KEEPALIVEs that a node hears."""

    def __str__(self) -> str:
        rows = (("node's loss", self.lost), ("API", self.api), ("keepalive gap", self.keepalives))
        lines = [f"{self.prefixes} prefixes in {self.took:.1f} s ({self.prefixes / max(self.took, 0.001):.0f}/s)"]
        return "\n".join(lines + [f"  {name}: {spread(values)}" for name, values in rows])


@dataclass
class Pressure:
    """The figures of the loads, and of the withdrawals between them."""

    loads: Figures = field(default_factory=Figures)
    withdrawals: Figures = field(default_factory=Figures)

    def __str__(self) -> str:
        return f"loaded: {self.loads}\nwithdrawn: {self.withdrawals}"


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which so large a share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def spread(values: Sequence[float]) -> str:
    """Return median, 95th percentile and maximum as text."""
    if not values:
        return "none"
    figures = (statistics.median(values), quantile(values, 0.95), max(values))
    median, high, worst = (f"{1000 * value:.1f} ms" for value in figures)
    return f"{len(values)} times: median {median}, p95 {high}, max {worst}"


class NexthopWatch:
    """Follows the kernel's nexthop objects, in a thread inside the namespace."""

    def __init__(self, namespace: Namespace) -> None:
        with namespace.enter():
            self._socket = wire.open_socket(groups=_RTMGRP_NEXTHOP, receive_buffer=8 << 20)
            self._ids = {n.gateway.address: n.id for n in objects().nexthops if n.gateway is not None}
        self._socket.settimeout(0.2)
        self._deleted: dict[int, float] = {}
        self._over = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over:
            with contextlib.suppress(TimeoutError):
                data = self._socket.recv(65536)
                now = time.monotonic()
                length, kind, _, _, _ = wire.HEADER.unpack_from(data)
                found = parse.nexthop(data, wire.HEADER.size, length)
                if kind == wire.RTM_DELNEXTHOP:
                    self._deleted[found.id] = now
                elif isinstance(found, KernelNexthop) and found.gateway is not None and found.id < _STAND_IN:
                    self._ids[found.gateway.address] = found.id

    def exists(self, number: int) -> int:
        """Return the id of the object that leads to a node, 0 without one."""
        id_ = self._ids.get(parse_address(node(number)), 0)
        return 0 if id_ in self._deleted else id_

    def deleted(self, id_: int) -> float:
        """Return when an object was deleted, once it is."""
        until(lambda: "" if id_ in self._deleted else "it is there", 20, f"nexthop {id_} is deleted")
        return self._deleted[id_]

    def close(self) -> None:
        """Stop listening."""
        self._over = True
        self._thread.join()
        self._socket.close()


@contextmanager
def asked(routerd: Routerd, resource: str = "/v1/status", pause: float = 0.02) -> Iterator[list[float]]:
    """Ask the API all the time; what is yielded grows by how long each answer took."""
    took: list[float] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(pause):
            started = time.monotonic()
            routerd.get(resource)
            took.append(time.monotonic() - started)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield took
    finally:
        over.set()
        thread.join()


class Pressed:
    """A router with small nodes, and one that can load; `load` measures what the small ones notice meanwhile."""

    def __init__(self, net: Network, routerd: Routerd, nodes: Agents, generator: subprocess.Popen[str]) -> None:
        self.net, self.routerd, self.nodes = net, routerd, nodes
        self._generator = generator
        self._victims = itertools.cycle(nodes[1:])  # the first one keeps the group alive, and listens

    def command(self, line: str) -> None:
        """Tell the generator what to do."""
        assert self._generator.stdin is not None
        self._generator.stdin.write(f"{line}\n")
        self._generator.stdin.flush()

    def heard(self, event: str) -> float:
        """Wait for an answer of the generator and return its time."""
        assert self._generator.stdout is not None
        while line := self._generator.stdout.readline():
            said = json.loads(line)
            if said["event"] == event:
                return float(said["time"])
        raise AssertionError(f"the generator ended with {self._generator.wait()}")

    async def load(self, prefixes: int, rounds: int = 1, pause: float = 0.05) -> Pressure:
        """Load prefixes, withdraw them and load them again, `rounds` times in all, and meanwhile end the sessions of
        the small nodes one after the other. In the end all is loaded and all nodes are up."""
        pressure, watch = Pressure(), NexthopWatch(self.net.router)
        try:
            for number in range(2 * rounds - 1):
                if number % 2 == 0:
                    await self._measure(pressure.loads, ("load", prefixes, prefixes), watch, pause)
                else:
                    await self._measure(pressure.withdrawals, ("withdraw", prefixes, 0), watch, pause)
        finally:
            watch.close()
        await self.nodes.up()
        await relearned(self.routerd, self.nodes, others={node(LOADER): prefixes})
        return pressure

    async def _measure(self, figures: Figures, deed: tuple[str, int, int], watch: NexthopWatch, pause: float) -> None:
        """Do one thing to so many prefixes, until so many are there, and add what it is like meanwhile."""
        (what, prefixes, wanted), over = deed, asyncio.Event()
        tasks = [
            asyncio.create_task(self._listen(figures.keepalives, over)),
            asyncio.create_task(self._close_all(figures.lost, watch, pause, over)),
        ]
        try:
            with asked(self.routerd) as answers:
                started = time.monotonic()
                self.command(f"{what} 0 {prefixes}")
                await asyncio.to_thread(until, partial(self._missing, wanted), 300, f"{what} {prefixes}")
                figures.took += time.monotonic() - started
        finally:
            over.set()
            await asyncio.gather(*tasks)
        figures.api += answers
        figures.prefixes += prefixes

    def _missing(self, wanted: int) -> str:
        found = self._of(node(LOADER))
        return "" if found == wanted else f"{found} of {wanted} prefixes"

    def _of(self, address: str) -> int:
        return int(next(p["totals"]["accepted"] for p in self.routerd.get("/v1/peers") if p["address"] == address))

    async def _close_all(self, took: list[float], watch: NexthopWatch, pause: float, over: asyncio.Event) -> None:
        for agent in self._victims:
            if over.is_set():
                return
            await asyncio.sleep(pause)
            id_ = watch.exists(agent.number)
            if id_ and agent.connected:
                started = time.monotonic()
                await agent.down()
                took.append(await asyncio.to_thread(watch.deleted, id_) - started)
                agent.up()

    async def _listen(self, gaps: list[float], over: asyncio.Event) -> None:
        """Note the time between the KEEPALIVEs that the first node hears."""
        heard = self.nodes[0].keepalives
        last = time.monotonic()
        count = heard()
        while not over.is_set():
            await asyncio.sleep(0.02)
            if heard() != count:
                count, now = heard(), time.monotonic()
                gaps.append(now - last)
                last = now


@asynccontextmanager
async def pressed(directory: Path, small: int, extra: Callable[[str], str] = str) -> AsyncIterator[Pressed]:
    """Start routerd, small nodes that announce one VIP, and a generator that has announced nothing yet."""
    accepting = configuration().replace('"172.16.0.0/12"', '"172.16.0.0/12", "20.0.0.0/8"')
    with network() as net:
        routerd = Routerd(net.router, directory, extra(accepting))
        generator = None
        try:
            routerd.start()
            async with agents(net, small, hold=HOLD) as nodes:
                for agent in nodes:
                    agent.announce(VIP)
                await nodes.up()
                options = ("--router", ROUTER, "--source", node(LOADER), "--hold", str(HOLD))
                generator = net.nodes.spawn(
                    sys.executable, str(GENERATOR), *options, stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
                site = Pressed(net, routerd, nodes, generator)
                await asyncio.to_thread(site.heard, "up")
                await relearned(routerd, nodes, others={node(LOADER): 0})
                await becomes(lambda: len(net.legs(VIP)), small)
                yield site
        finally:
            if generator is not None:
                generator.kill()
                generator.communicate()
            routerd.kill()
