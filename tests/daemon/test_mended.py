"""Somebody deletes routerd's routes by the thousand: they are back at once, long before an audit."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from routerd.config.model import FibSection
from routerd.core.route import Prefix, parse_prefix
from routerd.kernel import batch
from routerd.kernel.dump import dump
from routerd.kernel.requests import Requests
from tests.daemon.harness import Network, Routerd, announcement, becomes, network, running
from tests.failover.agents import logged
from tests.support.bgp import Client
from tests.support.netns import needs_root

pytestmark = needs_root

FIB = FibSection()
COUNT = 20_000
MANY = 60_000
"""More deletions than the monitor's socket holds."""


class Site:
    """A routerd and a node that announces much."""

    def __init__(self, net: Network, routerd: Routerd, node: Client) -> None:
        self.net = net
        self.routerd = routerd
        self.node = node

    def announce(self, prefixes: list[str]) -> None:
        for start in range(0, len(prefixes), 200):
            self.node.send(announcement(0, *prefixes[start : start + 200]))

    def routes(self) -> int:
        """Return how many routes of routerd's the kernel has."""
        with self.net.router.enter():
            return len(dump(FIB).routes)

    def delete(self, prefixes: list[Prefix]) -> None:
        """Delete routes one by one, as another daemon does that takes them for its own."""
        with self.net.router.enter():
            requests = Requests()
            ids = dump(FIB).routes
        for start, some in requests.bursts(prefixes):
            if found := batch.delete_routes(some, list(map(ids.get, some)), FIB.metric):
                requests.exchange([(start, found)])
        requests.close()


@pytest_asyncio.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    with network() as net, running(net.router, tmp_path) as routerd:
        async with await net.establish(0) as node:
            yield Site(net, routerd, node)


def vips(count: int) -> list[str]:
    return [f"172.{16 + (number >> 16)}.{number >> 8 & 255}.{number & 255}/32" for number in range(count)]


def vips6(count: int) -> list[str]:
    return [f"fd00:ac10::{number:x}/128" for number in range(count)]


async def test_thousands_are_back_before_an_audit(site: Site) -> None:
    every = [*vips(COUNT), *vips6(COUNT)]
    site.announce([*vips(COUNT), *vips6(1)])
    await becomes(site.routes, COUNT + 1, 30)  # whose the IPv6 next hop is, is known now: nothing is rejected for it
    site.announce(vips6(COUNT))
    await becomes(site.routes, len(every), 30)
    for _ in range(2):
        site.delete([parse_prefix(vip) for vip in every])
        await becomes(site.routes, len(every), 20)
    assert site.routerd.problems() == {}
    assert logged(site.routerd, "drift mended")


async def test_what_is_deleted_while_more_is_loaded_is_back(site: Site) -> None:
    """The news of a deletion comes when the route has been written again, or is about to be."""
    prefixes = vips(MANY)
    site.announce(prefixes)
    while site.routerd.count(0, "accepted") < MANY:
        site.delete([parse_prefix(vip) for vip in prefixes[::7]])
        await asyncio.sleep(0)
    await becomes(site.routes, MANY, 20)
    await becomes(lambda: site.routerd.status()["fib"]["unwritten"], 0)
    assert site.routes() == MANY
    assert site.routerd.problems() == {}


async def test_more_than_the_socket_holds_is_found_by_an_audit_at_once(site: Site) -> None:
    prefixes = vips(MANY)
    site.announce(prefixes)
    await becomes(site.routes, MANY, 30)
    site.routerd.signal(signal.SIGSTOP)
    site.delete([parse_prefix(vip) for vip in prefixes])
    site.routerd.signal(signal.SIGCONT)
    await becomes(site.routes, MANY, 20)
    assert any("overrun" in entry["reason"] for entry in logged(site.routerd, "kernel changed"))
