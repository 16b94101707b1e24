"""The monitor hears what others change, and not the writer."""

import asyncio
import errno
import re
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from routerd.core.message import (
    DeleteNexthop,
    DeleteRoutes,
    ForeignRoute,
    Gateway,
    KernelNexthop,
    Leg,
    Member,
    NexthopChange,
    RouteChange,
    SetGroup,
    SetNexthop,
    SetRoutes,
)
from routerd.core.route import parse_address, parse_prefix
from routerd.kernel import parse, wire
from routerd.kernel.bulk import Bulk
from routerd.kernel.dump import is_own
from routerd.kernel.monitor import OVERRUN, Monitor
from routerd.kernel.parse import InterfaceAddress
from routerd.kernel.writer import KernelWriter
from routerd.lab.waiting import until
from tests.kernel.scenario import FIB, gateway, many
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root


@dataclass
class Watched:
    """A router with a writer and a monitor; `reasons` is what the monitor said, `changes` what of routes."""

    router: Namespace
    writer: KernelWriter
    reasons: asyncio.Queue[str]
    changes: asyncio.Queue[RouteChange | NexthopChange]
    stale: int = 0
    errors: list[Exception] = field(default_factory=list)
    monitor: Monitor = field(init=False)

    def owns(self, id_: int) -> bool:
        return self.writer.owns(id_)

    def owns_route(self, route: ForeignRoute) -> bool:
        return is_own(route, FIB)

    def kernel_changed(self, reason: str) -> None:
        """On a busy machine the kernel tells late that the router's own IPv6 addresses can be used."""
        if not re.fullmatch(r"address f\S+ on interface \S+ added", reason):
            self.reasons.put_nowait(reason)

    def routes_changed(self, changes: tuple[RouteChange | NexthopChange, ...]) -> None:
        for change in changes:
            self.changes.put_nowait(change)

    def routes_stale(self) -> None:
        self.stale += 1

    def not_understood(self, error: Exception) -> None:
        self.errors.append(error)

    async def next_reason(self) -> str:
        """Wait for the next reason."""
        return await asyncio.wait_for(self.reasons.get(), 5)

    async def hears(self, wanted: str) -> None:
        """Wait for a reason that begins with `wanted`; others before it do not matter."""
        async with asyncio.timeout(5):
            while not (await self.reasons.get()).startswith(wanted):
                pass


@pytest.fixture
async def watched(router: Namespace) -> AsyncIterator[Watched]:
    """Two nexthops, a resilient group of them and ten routes, written while the monitor listens."""
    with router.enter():
        made = Watched(router, KernelWriter(FIB), asyncio.Queue(), asyncio.Queue())
        monitor = Monitor([made.writer.port], made, lambda entry, port: None)
        made.monitor = monitor
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
    watched.router.ip("link", "set", "eth0", "down")
    assert await watched.next_reason() == "interface eth0 down"


async def test_an_address_that_was_there_before_is_no_news_once_it_can_be_used(router: Namespace) -> None:
    """The kernel announces it a second or two later, when nobody else has it: in the midst of what nodes announce."""
    router.ip("address", "add", "2001:db8:9::1/64", "dev", "eth0")
    with router.enter():
        writer = KernelWriter(FIB)
        watched = Watched(router, writer, asyncio.Queue(), asyncio.Queue())
        monitor = Monitor([writer.port], watched, lambda entry, port: None)
        monitor.start()
        until(lambda: router.ip("address", "show", "to", "2001:db8:9::1", "tentative"), 10, "nobody else has it")
        router.ip("address", "add", "10.9.0.1/24", "dev", "eth0")
        assert await watched.next_reason() == "address 10.9.0.1 on interface eth0 added"
        monitor.close()
        writer.close()


async def test_a_loss_of_carrier_that_is_told_when_it_is_over_is_news(watched: Watched) -> None:
    """The kernel flushes nexthops first, with 100,000 routes for tens of milliseconds, and then tells how the link is
    by now. That takes a card that comes back meanwhile: here the word of the loss is left out."""
    monitor, hear = watched.monitor, watched.monitor._hear

    def late(data: bytes) -> None:
        if wire.HEADER.unpack_from(data)[1] != wire.RTM_NEWLINK or parse.link(data, wire.HEADER.size, len(data)).up:
            hear(data)

    monitor._hear = late  # type: ignore[method-assign]
    watched.router.ip("link", "set", "far0", "down")
    watched.router.ip("link", "set", "far0", "up")
    await watched.hears("interface eth0 up")


async def test_an_interface_that_leaves_a_bridge_is_not_deleted(watched: Watched) -> None:
    """The bridge tells of its ports likewise, as RTM_DELLINK."""
    watched.router.ip("link", "add", "bridge", "type", "bridge")
    await watched.hears("interface bridge down")
    watched.router.ip("link", "set", "eth1", "master", "bridge")
    watched.router.ip("link", "set", "eth1", "nomaster")
    watched.router.ip("address", "add", "10.9.0.1/24", "dev", "eth0")
    assert await watched.next_reason() == "address 10.9.0.1 on interface eth0 added"


async def test_a_far_end_that_becomes_what_it_was_is_news(watched: Watched) -> None:
    """The kernel changes the network of an IPv6 address without removing the address."""
    far = ("2001:db8:1::2/64", "2001:db8:2::2/64", "2001:db8:1::2/64")
    for each in far:
        watched.router.ip("address", "replace", "2001:db8::1", "peer", each, "dev", "eth0", "nodad")
        assert await watched.next_reason() == "address 2001:db8::1 on interface eth0 added"


async def test_nexthops(watched: Watched) -> None:
    watched.router.ip("nexthop", "add", "id", "99", "via", "10.0.0.9", "dev", "eth0")
    watched.router.ip("nexthop", "delete", "id", "99")
    watched.router.ip("nexthop", "replace", "id", "2", "via", "10.0.1.77", "dev", "eth1")
    assert await watched.next_reason() == "nexthop id 2 changed by someone else"
    watched.router.ip("nexthop", "delete", "id", "1")
    await watched.hears("nexthop id 1 deleted by someone else")


async def test_foreign_nexthops(watched: Watched) -> None:
    watched.router.ip("nexthop", "add", "id", "99", "via", "10.99.0.9", "dev", "eth0", "onlink")
    where = Gateway(parse_address("10.99.0.9"), gateway("10.0.0.2").ifindex)
    assert await watched.changes.get() == NexthopChange(99, KernelNexthop(99, 0, where, onlink=True))
    watched.router.ip("nexthop", "delete", "id", "99")
    assert await watched.changes.get() == NexthopChange(99, None)
    assert watched.reasons.empty()


async def test_foreign_routes_and_what_others_do_to_routerds(watched: Watched) -> None:
    via = Leg(parse_address("10.0.0.9"), gateway("10.0.0.2").ifindex)
    static, vip = parse_prefix("10.77.0.0/16"), many(1)[0]
    watched.router.ip("route", "add", "172.99.0.0/16", "via", "10.0.0.9", "table", "77")
    watched.router.ip("route", "add", "10.77.0.0/16", "via", "10.0.0.9", "metric", "7", "proto", "static")
    assert await watched.changes.get() == RouteChange(static, ForeignRoute(1, 4, 7, 0, (via,)))
    watched.router.ip("route", "del", "10.77.0.0/16")
    assert await watched.changes.get() == RouteChange(static, ForeignRoute(1, 4, 7, 0, (via,)), deleted=True)
    ours = ForeignRoute(1, 186, 20, 10, ())
    watched.router.ip("route", "del", "172.16.0.0")
    assert await watched.changes.get() == RouteChange(vip, ours, own=True, deleted=True)
    watched.writer.write([SetRoutes(10, (vip,))])
    watched.router.ip("route", "replace", "172.16.0.0", "via", "10.0.0.9", "metric", "20", "proto", "static")
    assert await watched.changes.get() == RouteChange(vip, ForeignRoute(1, 4, 20, 0, (via,)), replaces=True)
    assert watched.reasons.empty()


async def test_what_changes_routes_silently_is_told_as_such(watched: Watched) -> None:
    watched.router.ip("address", "add", "10.9.0.1/24", "dev", "eth0")
    await watched.hears("address 10.9.0.1 on interface")
    assert watched.stale == 0
    watched.router.ip("address", "del", "10.9.0.1/24", "dev", "eth0")
    await watched.hears("address 10.9.0.1 on interface")
    assert watched.stale == 1
    watched.router.ip("link", "set", "eth1", "down")
    await watched.hears("interface eth1 down")
    assert watched.stale >= 2


async def test_own_writes_are_not_heard(watched: Watched) -> None:
    """Nor is what the kernel does along with them: it deletes the IPv6 routes of an emptied group one by one."""
    writer = watched.writer
    writer.write([SetNexthop(3, gateway("10.0.0.3")), SetGroup(11, (Member(3), Member(1)))])
    writer.write([SetGroup(11, (Member(3),)), DeleteNexthop(1), DeleteNexthop(10), DeleteRoutes(many(10))])
    vips6 = tuple(parse_prefix(f"2001:db8::{number:x}/128") for number in range(10))
    writer.write([SetNexthop(4, gateway("fd00::2")), SetGroup(12, (Member(4),)), SetRoutes(12, vips6)])
    writer.write([DeleteNexthop(4)])
    watched.router.ip("nexthop", "add", "id", "99", "blackhole")
    assert await watched.changes.get() == NexthopChange(99, KernelNexthop(99, 0, None))
    assert watched.reasons.empty()
    assert watched.changes.empty()


async def test_what_the_bulk_writes_is_not_heard(router: Namespace) -> None:
    with router.enter():
        writer = KernelWriter(FIB)
        done, loop = asyncio.Event(), asyncio.get_running_loop()
        bulk = Bulk(writer.routes, writer.groups, lambda: loop.call_soon_threadsafe(done.set))
        watched = Watched(router, writer, asyncio.Queue(), asyncio.Queue())
        monitor = Monitor([writer.port, bulk.port], watched, lambda entry, port: None)
        monitor.start()
        writer.write([SetNexthop(1, gateway("10.0.0.2"))])
        bulk.start([SetRoutes(1, many(2000))])
        await done.wait()
        assert bulk.finish() == []
        router.ip("nexthop", "add", "id", "99", "blackhole")
        assert await watched.changes.get() == NexthopChange(99, KernelNexthop(99, 0, None))
        monitor.close()
        bulk.close()
        writer.close()


@pytest.mark.parametrize("turn", [1.0, 0.0], ids=["all in a turn", "one in a turn"])
async def test_an_overrun_is_reported(router: Namespace, monkeypatch: pytest.MonkeyPatch, turn: float) -> None:
    """Also if what is left to be read is exactly as much as one turn takes: no other notification may come."""
    monkeypatch.setattr("routerd.kernel.monitor._RECEIVE_BUFFER", 4096)
    monkeypatch.setattr("routerd.kernel.monitor._TURN", turn)
    with router.enter():
        writer = KernelWriter(FIB)
        watched = Watched(router, writer, asyncio.Queue(), asyncio.Queue())
        monitor = Monitor([], watched, lambda entry, port: None)
        writer.write([SetNexthop(id_, gateway("10.0.0.2")) for id_ in range(1, 200)])
        monitor.start()
        await watched.hears("netlink overrun")
        assert watched.stale == 1
        writer.write([SetNexthop(200, gateway("10.0.0.2"))])
        await watched.hears("nexthop id 200 changed by someone else")
        monitor.close()
        writer.close()


async def test_a_turn_ends_though_more_is_to_be_read(router: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("routerd.kernel.monitor._TURN", 0.0)
    with router.enter():
        writer = KernelWriter(FIB)
        watched = Watched(router, writer, asyncio.Queue(), asyncio.Queue())
        monitor = Monitor([], watched, lambda entry, port: None)
        monitor.start()
        writer.write([SetNexthop(id_, gateway("10.0.0.2")) for id_ in (1, 2, 3)])
        assert monitor._socket is not None
        monitor._read(monitor._socket)
        assert watched.reasons.qsize() == 1
        await watched.hears("nexthop id 3 changed by someone else")
        monitor.close()
        writer.close()


async def test_what_cannot_be_parsed_is_told_and_the_next_is_heard(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel may say what nobody has foreseen; the notification behind it may be that of a lost node."""

    def address(*_: object) -> InterfaceAddress:
        raise struct.error("unpack_from requires a buffer of at least 8 bytes")

    monkeypatch.setattr(parse, "address", address)
    watched.router.ip("address", "add", "10.9.0.1/24", "dev", "eth0")
    watched.router.ip("nexthop", "replace", "id", "2", "via", "10.0.1.77", "dev", "eth1")
    await watched.hears("nexthop id 2 changed by someone else")
    await watched.hears(OVERRUN)
    assert {type(error) for error in watched.errors} == {struct.error}, "the kernel may tell of an address twice"
    assert watched.stale


async def test_a_socket_that_fails_is_opened_anew(router: Namespace) -> None:
    with router.enter():
        writer = KernelWriter(FIB)
        watched = Watched(router, writer, asyncio.Queue(), asyncio.Queue())
        monitor = Monitor([], watched, lambda entry, port: None)
        monitor.start()
        broken = _Broken()
        with pytest.raises(OSError, match="no memory"):
            await _failing(monitor, broken)
        writer.write([SetNexthop(1, gateway("10.0.0.2"))])  # nobody listens
        running = asyncio.create_task(monitor.run())
        await watched.hears(OVERRUN)
        assert watched.stale == 1
        writer.write([SetNexthop(2, gateway("10.0.0.2"))])
        await watched.hears("nexthop id 2 changed by someone else")
        running.cancel()
        monitor.close()
        writer.close()


class _Broken:
    """A socket that fails when it is read."""

    def recv(self, _: int) -> bytes:
        raise OSError(errno.ENOMEM, "no memory")


async def _failing(monitor: Monitor, broken: _Broken) -> None:
    running = asyncio.create_task(monitor.run())
    await asyncio.sleep(0)
    monitor._read(broken)  # type: ignore[arg-type]
    await running
