"""BGP and the FIB are well, and the host lets no packet through: status names the setting, and its command helps."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from routerd.api.models import ProblemView
from tests.daemon.harness import Network, Routerd, announcement, becomes, node, running
from tests.failover.agents import CLIENT, CLIENT6, configuration, wide_network
from tests.support.netns import Namespace, needs_root, veth
from tests.support.nft import IIFNAME, OIFNAME, Chain

pytestmark = needs_root

VIP, VIP6 = "172.16.1.1", "fd00:ac10::1"
PEER = f"peer {node(0)}"
FAR6 = "fd0c::2"
"""A client's address that only a default route leads to."""

ECHO = f"""
import select, socket
socks = []
for family, address in ((socket.AF_INET, "{VIP}"), (socket.AF_INET6, "{VIP6}")):
    socks.append(socket.socket(family, socket.SOCK_DGRAM))
    socks[-1].bind((address, 7))
print("ready", flush=True)
while True:
    for sock in select.select(socks, [], [])[0]:
        data, sender = sock.recvfrom(64)
        try:
            sock.sendto(data, sender)
        except OSError:
            pass  # nothing leads there
"""


@pytest.fixture
def wide() -> Iterator[tuple[Network, Namespace]]:
    """A router, nodes with an echo server on the VIPs, and a client."""
    with wide_network((VIP, VIP6)) as (net, client), echoing(net.nodes):
        yield net, client


@contextmanager
def echoing(nodes: Namespace) -> Iterator[None]:
    server = nodes.spawn(sys.executable, "-c", ECHO, stdout=-1)
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == "ready\n"
        yield
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


@pytest.fixture
async def routerd(wide: tuple[Network, Namespace], tmp_path: Path) -> AsyncIterator[Routerd]:
    """All is well, and one node announces the VIPs."""
    net, client = wide
    with running(net.router, tmp_path, configuration("audit_interval = 1")) as daemon:
        async with await net.establish(0) as speaker:
            speaker.send(announcement(0, VIP) + announcement(0, VIP6))
            await net.has(VIP, 0)
            await net.has(VIP6, 0)
            await becomes(lambda: answers(client, VIP, CLIENT))
            assert daemon.problems() == {}
            yield daemon


def answers(client: Namespace, address: str, source: str) -> bool:
    """Whether a VIP answers the client."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with client.enter(), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((source, 0))
        sock.settimeout(0.3)
        try:
            sock.connect((address, 7))
            sock.send(b"?")
            return sock.recv(64) == b"?"
        except OSError:
            return False


def problem(daemon: Routerd, where: str) -> list[ProblemView]:
    return [found for found in daemon.status()["problems"] if found["where"] == where]


async def mends(daemon: Routerd, router: Namespace, where: str, wanted: str) -> None:
    """Run the command that status prints, and wait until it has nothing more to say."""
    await becomes(lambda: [wanted in found["what"] for found in problem(daemon, where)], [True])
    (found,) = problem(daemon, where)
    assert f"problem  {where}: {found['what']}" in daemon.cli("status").stdout
    router.run("sh", "-c", found["remedy"])
    await becomes(lambda: problem(daemon, where), [])


@pytest.mark.parametrize("interface", ["eth0", "eth9"], ids=["nodes", "clients"])
async def test_forwarding_off_on_an_interface(
    wide: tuple[Network, Namespace], routerd: Routerd, interface: str
) -> None:
    net, client = wide
    net.router.run("sysctl", "-qw", f"net.ipv4.conf.{interface}.forwarding=0")
    assert not answers(client, VIP, CLIENT)
    whose = "nodes" if interface == "eth0" else "clients"
    await mends(routerd, net.router, f"interface {interface}", f"what {whose} send to it goes nowhere")
    assert answers(client, VIP, CLIENT)
    assert routerd.status()["ok"]


async def test_forwarding_of_ipv6_off_on_an_interface_does_no_harm(
    wide: tuple[Network, Namespace], routerd: Routerd
) -> None:
    net, client = wide
    for interface in ("eth0", "eth9"):
        net.router.run("sysctl", "-qw", f"net.ipv6.conf.{interface}.forwarding=0")
    assert answers(client, VIP6, CLIENT6)
    assert routerd.status()["ok"]


async def test_a_strict_reverse_path_filter_on_an_asymmetric_path(
    wide: tuple[Network, Namespace], routerd: Routerd
) -> None:
    """The nodes answer through another network of theirs, where their default route leads."""
    net, client = wide
    veth(net.router, "eth1", net.nodes, "eth1")
    net.router.address("eth1", "10.0.5.1/24")
    net.nodes.address("eth1", "10.0.5.65/24")
    net.nodes.ip("route", "replace", "default", "via", "10.0.5.1")
    net.router.run("sysctl", "-qw", "net.ipv4.conf.eth1.rp_filter=0", "net.ipv4.conf.all.rp_filter=0")
    await becomes(lambda: answers(client, VIP, CLIENT))
    net.router.run("sysctl", "-qw", "net.ipv4.conf.eth1.rp_filter=1")
    assert routerd.status()["ok"]  # so far nothing was dropped
    assert not answers(client, VIP, CLIENT)
    await becomes(lambda: answers(client, VIP, CLIENT) or problem(routerd, "interface eth1"))
    await mends(routerd, net.router, "interface eth1", "its reverse path filter is strict, and packets were dropped")
    assert answers(client, VIP, CLIENT)
    assert routerd.status()["ok"]


def advertise(router: Namespace) -> None:
    """Send a router advertisement out of `eth0`."""
    with router.enter(), socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        body = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
        sock.sendto(body, ("ff02::1", 0, 0, socket.if_nametoindex("eth0")))


async def test_the_default_route_of_an_advertisement_is_lost(wide: tuple[Network, Namespace], tmp_path: Path) -> None:
    """Forwarding, which routerd turns on, makes the kernel forget it."""
    net, client = wide
    client.ip("address", "add", f"{FAR6}/128", "dev", "lo")
    net.router.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=0", "net.ipv6.conf.eth9.accept_ra=1")

    def default() -> str:
        return net.router.ip("-6", "route", "show", "default")

    def advertised() -> str:
        advertise(client)
        return default()

    await becomes(advertised)
    with running(net.router, tmp_path, configuration()) as daemon:
        async with await net.establish(0) as speaker:
            speaker.send(announcement(0, VIP6))
            await net.has(VIP6, 0)
            await becomes(lambda: answers(client, VIP6, CLIENT6))
            assert advertised() == ""
            assert not answers(client, VIP6, FAR6)
            await mends(daemon, net.router, "interface eth9", "there is no IPv6 default route")
            await becomes(advertised)
            await becomes(lambda: answers(client, VIP6, FAR6))
            assert daemon.status()["ok"]


async def test_no_default_route_is_no_problem_where_nobody_advertises_one(
    wide: tuple[Network, Namespace], routerd: Routerd
) -> None:
    net, _ = wide
    assert net.router.run("sysctl", "-n", "net.ipv6.conf.eth9.accept_ra").strip() == "1"
    assert net.router.ip("-6", "route", "show", "default") == ""
    assert routerd.status()["ok"]


async def test_nodes_that_cannot_be_probed(wide: tuple[Network, Namespace], routerd: Routerd) -> None:
    """The kernel asks nobody there: every neighbour counts as alive for ever."""
    net, _ = wide
    net.router.ip("link", "set", "eth9", "arp", "off")  # only clients are there
    assert routerd.status()["ok"]
    net.router.ip("link", "set", "eth9", "arp", "on")
    net.router.ip("link", "set", "eth0", "arp", "off")
    await mends(routerd, net.router, "interface eth0", "nodes cannot be probed")


async def test_a_firewall_that_lets_nothing_through(wide: tuple[Network, Namespace], routerd: Routerd) -> None:
    """As Docker sets it up: the policy is drop, and what its own containers send passes."""
    net, client = wide
    with net.router.enter():
        chain = Chain("filter", "FORWARD")
        chain.accept((IIFNAME, "docker0"))
        assert not answers(client, VIP, CLIENT)
        assert answers(client, VIP6, CLIENT6)
        (found,) = problem(routerd, "firewall")
        assert found["what"].startswith("chain FORWARD of nftables' ip filter lets nothing through to the nodes")
        command = "iptables -I FORWARD -o eth0 -j ACCEPT; iptables -I FORWARD -i eth0 -j ACCEPT"
        assert found["remedy"].startswith(command)
        chain.accept((OIFNAME, "eth0"))  # what that command makes
        chain.accept((IIFNAME, "eth0"))
        assert answers(client, VIP, CLIENT)
        assert routerd.status()["ok"]


async def test_a_firewall_with_rules_is_left_to_its_owner(wide: tuple[Network, Namespace], routerd: Routerd) -> None:
    """Some clients may, and others not: whether that is meant so nobody can tell."""
    net, client = wide
    with net.router.enter():
        chain = Chain("mine", "through")
        assert len(problem(routerd, "firewall")) == 1
        chain.accept((IIFNAME, "eth7"), (OIFNAME, "eth0"))
        assert len(problem(routerd, "firewall")) == 1  # there is no such interface
        chain.accept((IIFNAME, "eth9"), (OIFNAME, "eth0"))
        assert not answers(client, VIP, CLIENT)  # the answers are dropped
        assert problem(routerd, "firewall") == []


async def test_an_interface_without_a_link_local_address(wide: tuple[Network, Namespace], routerd: Routerd) -> None:
    """The kernel sends no neighbour solicitation for what it forwards: nothing is wrong with the nodes."""
    net, client = wide
    shown = net.router.ip_json("-6", "address", "show", "dev", "eth0", "scope", "link")
    (address,) = [entry["local"] for found in shown for entry in found["addr_info"] if entry]
    net.router.ip("address", "delete", f"{address}/64", "dev", "eth0")
    await mends(routerd, net.router, "interface eth0", "it has no IPv6 link-local address")
    await net.has(VIP6, 0)
    await becomes(lambda: answers(client, VIP6, CLIENT6))
    await becomes(lambda: routerd.status()["ok"])


async def test_an_address_that_another_host_has(wide: tuple[Network, Namespace], routerd: Routerd) -> None:
    net, _ = wide
    net.router.sysctl(net__ipv6__conf__eth0__accept_dad=1)
    net.nodes.ip("address", "add", "fd00::77/64", "dev", "eth0", "nodad")
    net.router.ip("address", "add", "fd00::77/64", "dev", "eth0")
    await becomes(lambda: any("fd00::77, too" in each["what"] for each in problem(routerd, "interface eth0")))
    net.nodes.ip("address", "delete", "fd00::77/64", "dev", "eth0")
    net.router.ip("address", "delete", "fd00::77/64", "dev", "eth0")
    net.router.ip("address", "add", "fd00::77/64", "dev", "eth0")
    await becomes(lambda: routerd.status()["ok"])


async def test_the_address_of_the_sessions_is_gone(wide: tuple[Network, Namespace], routerd: Routerd) -> None:
    """A DHCP client has got another lease."""
    net, _ = wide
    net.router.sysctl(net__ipv4__conf__all__promote_secondaries=1)
    net.router.ip("address", "add", "10.0.0.2/24", "dev", "eth0")
    net.router.ip("address", "delete", "10.0.0.1/24", "dev", "eth0")
    await becomes(lambda: "no address 10.0.0.1 any more" in "".join(p["what"] for p in problem(routerd, PEER)))
    await net.has(VIP, 0)
    net.router.ip("address", "add", "10.0.0.1/24", "dev", "eth0")
    await becomes(lambda: routerd.status()["ok"])
