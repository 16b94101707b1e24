"""The monitor hears what others change, and not the writer."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from routerd.core.message import DeleteNexthop, Member, SetGroup, SetNexthop, SetRoutes
from routerd.kernel.monitor import Monitor
from routerd.kernel.writer import KernelWriter
from tests.kernel.scenario import FIB, gateway, many
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root


@dataclass
class Watched:
    """A router with a writer and a monitor; `reasons` is what the monitor said."""

    router: Namespace
    writer: KernelWriter
    reasons: asyncio.Queue[str]

    async def hears(self, wanted: str) -> None:
        """Wait for a reason that begins with `wanted`; others before it do not matter."""
        async with asyncio.timeout(5):
            while not (await self.reasons.get()).startswith(wanted):
                pass


@pytest.fixture
async def watched(router: Namespace) -> AsyncIterator[Watched]:
    """Two nexthops, a resilient group of them and ten routes, written while the monitor listens."""
    with router.enter():
        made = Watched(router, KernelWriter(FIB), asyncio.Queue())
        monitor = Monitor(made.writer.port, made.writer.owns, made.reasons.put_nowait, lambda entry, port: None)
        monitor.start()
        made.writer.write([SetNexthop(1, gateway("10.0.0.2")), SetNexthop(2, gateway("10.0.1.2", "eth1"))])
        made.writer.write([SetGroup(10, (Member(1), Member(2)), buckets=32, idle_timer=1), SetRoutes(10, many(10))])
        yield made
        monitor.close()
        made.writer.close()


async def test_links(watched: Watched) -> None:
    watched.router.ip("link", "set", "far0", "down")
    await watched.hears("interface eth0 down")
    watched.router.ip("link", "set", "far0", "up")
    await watched.hears("interface eth0 up")
    watched.router.ip("link", "delete", "eth1")
    await watched.hears("interface eth1 deleted")


async def test_addresses(watched: Watched) -> None:
    watched.router.ip("address", "add", "10.9.0.1/24", "dev", "eth0")
    await watched.hears("address 10.9.0.1 on interface")
    watched.router.ip("address", "delete", "fd01::1/64", "dev", "eth1")
    await watched.hears("address fd01::1 on interface")


async def test_nothing_new_is_not_reported(watched: Watched) -> None:
    watched.router.ip("link", "set", "eth0", "mtu", "1400")
    await watched.hears("interface eth0 up")
    watched.router.ip("link", "set", "eth0", "mtu", "1450")
    await asyncio.sleep(0.1)
    assert watched.reasons.empty()


async def test_nexthops(watched: Watched) -> None:
    watched.router.ip("nexthop", "add", "id", "99", "via", "10.0.0.9", "dev", "eth0")
    watched.router.ip("nexthop", "delete", "id", "99")
    await asyncio.sleep(0.1)
    assert watched.reasons.empty()
    watched.router.ip("nexthop", "replace", "id", "2", "via", "10.0.1.77", "dev", "eth1")
    await watched.hears("nexthop id 2 changed by someone else")
    watched.router.ip("nexthop", "delete", "id", "1")
    await watched.hears("nexthop id 1 deleted by someone else")


async def test_own_writes_are_not_heard(watched: Watched) -> None:
    watched.writer.write([SetNexthop(3, gateway("10.0.0.3")), SetGroup(11, (Member(3), Member(1)))])
    watched.writer.write([SetGroup(11, (Member(3),)), DeleteNexthop(1), DeleteNexthop(10)])
    await asyncio.sleep(0.2)
    assert watched.reasons.empty()


async def test_an_overrun_is_reported(router: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routerd.kernel.monitor._RECEIVE_BUFFER", 4096)
    reasons: list[str] = []
    with router.enter():
        monitor = Monitor(0, lambda _: True, reasons.append, lambda entry, port: None)
        writer = KernelWriter(FIB)
        writer.write([SetNexthop(id_, gateway("10.0.0.2")) for id_ in range(1, 200)])
        monitor.start()
        await asyncio.sleep(0.1)
        assert sum("overrun" in reason for reason in reasons) == 1
        reasons.clear()
        writer.write([SetNexthop(200, gateway("10.0.0.2"))])
        await asyncio.sleep(0.1)
        assert reasons == ["nexthop id 200 changed by someone else"]
        monitor.close()
        writer.close()
