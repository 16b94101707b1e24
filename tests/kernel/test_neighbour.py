"""Neighbours as the kernel has them: probed, failed in earnest or by hand, and those that are somebody else's."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from routerd.core.message import ForeignRoute, Gateway, NexthopChange, RouteChange
from routerd.core.probing import Schedule
from routerd.core.route import parse_address
from routerd.kernel.monitor import Monitor
from routerd.kernel.neighbour import NUD_FAILED, Neighbour, Prober, asked_in_vain
from tests.daemon.harness import becomes
from tests.support.netns import Namespace, namespace, needs_root, veth

pytestmark = needs_root

NODE, NODE6 = "10.0.0.65", "fd00::65"
SIOCDARP = 0x8953


class Indifferent:
    """Does not care for what the monitor tells of all but neighbours."""

    def owns(self, id_: int) -> bool:
        return False

    def owns_route(self, route: ForeignRoute) -> bool:
        return False

    def kernel_changed(self, reason: str) -> None:
        """A link, an address or a nexthop changed."""

    def routes_stale(self) -> None:
        """Routes may have changed."""

    def not_understood(self, error: Exception) -> None:
        raise error

    def routes_changed(self, changes: tuple[RouteChange | NexthopChange, ...]) -> None:
        """Routes changed."""


@dataclass
class Link:
    """A router (this thread is inside) and a node on a link; `heard` is what the monitor told of neighbours."""

    router: Namespace
    node: Namespace
    prober: Prober
    lladdr: str
    ifindex: int
    heard: list[tuple[Neighbour, int]] = field(default_factory=list)

    @property
    def gateways(self) -> list[Gateway]:
        return [Gateway(parse_address(text), self.ifindex) for text in (NODE, NODE6)]

    def hear(self, entry: Neighbour | None, port: int) -> None:
        assert entry is not None
        self.heard.append((entry, port))

    def round(self) -> None:
        self.prober.probe(self.gateways, self.prober.look(self.gateways))

    def alive(self) -> list[bool]:
        found = self.prober.look(self.gateways)
        return [gateway in found and found[gateway].alive for gateway in self.gateways]

    def shown(self, address: str = NODE) -> str:
        """What `ip neigh` says of the node."""
        return self.router.ip("neigh", "show", address, "nud", "all").strip()

    def entry(self, *options: str, address: str = NODE) -> None:
        """Make an entry, as an operator or another daemon does."""
        self.router.ip("neigh", "replace", address, "lladdr", self.lladdr, "dev", "eth0", *options)

    def deaf(self) -> None:
        """The node answers no more, neither ARP nor neighbour solicitations."""
        self.node.ip("link", "set", "eth0", "arp", "off")

    def valid(self) -> list[Neighbour]:
        """What was told of entries that have not failed."""
        return [entry for entry, _ in self.heard if entry.valid]

    def failures(self) -> list[tuple[int, bool]]:
        """The port that each failure came with, and whether it was in earnest."""
        return [(port, asked_in_vain(entry)) for entry, port in self.heard if entry.state == NUD_FAILED]


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    with namespace("router") as router, namespace("node") as node:
        for member in (router, node):
            member.sysctl(net__ipv6__conf__all__accept_dad=0, net__ipv6__conf__default__accept_dad=0)
        veth(router, "eth0", node, "eth0")
        router.address("eth0", "10.0.0.1/24", "fd00::1/64")
        node.address("eth0", f"{NODE}/24", f"{NODE6}/64")
        for version in (4, 6):
            prefix = f"net__ipv{version}__neigh__eth0__"
            settings = {"retrans_time_ms": 20, "ucast_solicit": 5, "mcast_solicit": 5}
            router.sysctl(**{prefix + name: value for name, value in settings.items()})
        lladdr = node.ip_json("link", "show", "eth0")[0]["address"]
        with router.enter():
            made = Link(router, node, Prober(), lladdr, socket.if_nametoindex("eth0"))
            monitor = Monitor([1], Indifferent(), made.hear)
            monitor.start()
            made.round()
            await becomes(made.alive, [True, True])
            yield made
            monitor.close()
            made.prober.close()


def ioctl_delete(link: Link) -> None:
    """Delete the entry as `arp -d` does: the kernel's message carries no port id."""
    address = struct.pack("=HH4s8x", socket.AF_INET, 0, socket.inet_aton(NODE))
    request = address + bytes(16) + struct.pack("=i", 0) + bytes(16) + b"eth0".ljust(16, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCDARP, request)


BY_HAND: dict[str, Callable[[Link], object]] = {
    "del": lambda link: link.router.ip("neigh", "del", NODE, "dev", "eth0"),
    "flush": lambda link: link.router.ip("neigh", "flush", "dev", "eth0"),
    "failed": lambda link: link.router.ip("neigh", "change", NODE, "dev", "eth0", "nud", "failed"),
    "arp -d": ioctl_delete,
}


@pytest.mark.parametrize("how", BY_HAND)
async def test_a_failure_by_hand_is_not_one_in_earnest(link: Link, how: str) -> None:
    for verified in (False, True):  # entries that were just resolved, and such that were probed since
        link.heard.clear()
        if verified:
            link.round()
            await becomes(link.alive, [True, True])
        BY_HAND[how](link)
        await becomes(link.failures)
        assert not any(port == 0 and earnest for port, earnest in link.failures())
        link.round()
        await becomes(link.alive, [True, True])


async def test_a_failure_in_earnest_comes_from_the_kernel(link: Link) -> None:
    link.deaf()
    link.round()
    await becomes(link.failures, [(0, True)] * 2)
    link.heard.clear()
    link.round()  # resolved anew, by broadcast
    await becomes(link.failures, [(0, True)] * 2)


FOREIGN = {
    "static": ("nud", "permanent"),
    "noarp": ("nud", "noarp"),
    "learned": ("nud", "reachable", "extern_learn"),
    "stale and learned": ("nud", "stale", "extern_learn"),
    "managed": ("managed",),
}


@pytest.mark.parametrize("kind", FOREIGN)
async def test_foreign_entries_are_left_alone_and_alive(link: Link, kind: str) -> None:
    for address in (NODE, NODE6):
        link.entry(*FOREIGN[kind], address=address)
    before = link.shown(), link.shown(NODE6)
    link.deaf()
    link.heard.clear()
    for _ in range(3):
        assert link.alive() == [True, True]
        link.round()
    await asyncio.sleep(0.15)  # longer than five questions take
    assert (link.shown(), link.shown(NODE6)) == before
    assert link.failures() == []


async def test_a_failed_learned_entry_is_resolved_and_stays_learned(link: Link) -> None:
    link.entry("nud", "reachable", "extern_learn")
    link.router.ip("neigh", "change", NODE, "dev", "eth0", "nud", "failed", "extern_learn")
    link.round()
    await becomes(link.alive, [True, True])
    assert "extern_learn" in link.shown()


@pytest.mark.parametrize("before", ["answering", "failed"])
@pytest.mark.parametrize("kind", ["static", "noarp", "learned", "managed"])
async def test_an_entry_that_becomes_foreign_between_look_and_probe_is_written_again(
    link: Link, kind: str, before: str
) -> None:
    if before == "failed":
        link.router.ip("neigh", "change", NODE, "dev", "eth0", "nud", "failed")
    entries = link.prober.look(link.gateways)
    link.heard.clear()
    link.entry(*FOREIGN[kind])
    made = link.shown()
    link.prober.probe(link.gateways, entries)
    # NTF_USE, for those that failed, leaves NUD_NOARP alone.
    met = link.shown() != made
    assert met == ((kind, before) != ("noarp", "failed"))
    await becomes(lambda: [entry.foreign for entry in link.valid()], [True])
    foreign = link.valid()[0]
    assert link.prober.restore(foreign) == met
    assert link.shown() == made
    assert not link.prober.restore(foreign)
    link.router.ip("neigh", "del", NODE, "dev", "eth0")
    assert not link.prober.restore(foreign)
    assert link.shown() == ""


async def test_a_new_entry_is_not_written_over(link: Link) -> None:
    link.router.ip("neigh", "del", NODE, "dev", "eth0")
    entries = link.prober.look(link.gateways)
    link.entry("nud", "permanent")
    link.prober.probe(link.gateways, entries)
    assert "PERMANENT" in link.shown()


async def test_a_silent_node_that_speaks_is_asked_at_once(link: Link) -> None:
    """However long it was silent: what it sends makes the kernel's entry valid."""
    gateway, schedule = link.gateways[0], Schedule(0.25)
    link.deaf()
    link.round()
    await becomes(link.failures, [(0, True)] * 2)
    for _ in range(10):
        schedule.due([gateway], [gateway], [], 1000.0)
    assert schedule.due([gateway], [gateway], [], 1000.0) == []
    link.node.ip("link", "set", "eth0", "arp", "on")
    link.node.run("bash", "-c", "echo > /dev/udp/10.0.0.1/9")

    def spoken() -> bool:
        found = link.prober.look([gateway])
        return gateway in found and found[gateway].valid

    await becomes(spoken)
    entries = link.prober.look([gateway])
    due = schedule.due([gateway], [gateway], [gateway], 1000.0)
    assert due == [gateway]
    link.prober.probe(due, entries)
    await becomes(lambda: link.alive()[0])


async def test_entries_that_could_not_be_read_are_asked_for_anew(link: Link) -> None:
    """Of a dump that has failed the rest may still come: it is not taken for the next one."""
    link.prober._dumps.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        link.alive()
    assert link.alive() == [True, True]
