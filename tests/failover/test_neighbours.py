"""What is done to the neighbour table by hand, or by other daemons, takes no node out; the silent are forgotten."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.daemon.harness import Network, Routerd, announcement, becomes, node, node6, running
from tests.failover.agents import Agents, agents, configuration, logged, relearned, wide_network
from tests.failover.stream import stream
from tests.support.netns import Namespace, needs_root

pytestmark = needs_root

VIP, VIP6 = "172.16.1.1", "fd00:ac10::1"
ROUNDS = 20


@pytest.fixture(scope="module")
def wide() -> Iterator[tuple[Network, Namespace]]:
    with wide_network((VIP, VIP6)) as made:
        yield made


@pytest.fixture
def routerd(wide: tuple[Network, Namespace], tmp_path: Path) -> Iterator[Routerd]:
    while wide[0].router.run("ip", "nexthop", "show"):
        wide[0].router.run("ip", "nexthop", "flush", check=False)  # stops at what has gone with another
    with running(wide[0].router, tmp_path, configuration("idle_timer = 1")) as daemon:
        yield daemon


@pytest.fixture
async def nodes(wide: tuple[Network, Namespace], routerd: Routerd) -> AsyncIterator[Agents]:
    async with agents(wide[0], 3) as made:
        for agent in made:
            agent.announce(VIP, VIP6)
        await made.up()
        await relearned(routerd, made)
        await wide[0].has(VIP, 0, 1, 2)
        await wide[0].has(VIP6, 0, 1, 2)
        yield made


def flush(router: Namespace) -> None:
    router.ip("neigh", "flush", "dev", "eth0")
    router.ip("-6", "neigh", "flush", "dev", "eth0")


def delete(router: Namespace) -> None:
    for number in range(3):
        for address in (node(number), node6(number)):
            router.run("ip", "neigh", "del", address, "dev", "eth0", check=False)


def fail(router: Namespace) -> None:
    for number in range(3):
        for address in (node(number), node6(number)):
            router.run("ip", "neigh", "change", address, "dev", "eth0", "nud", "failed", check=False)


@pytest.mark.parametrize("by_hand", [flush, delete, fail])
async def test_a_neighbour_table_emptied_by_hand_takes_nobody_out(
    wide: tuple[Network, Namespace], routerd: Routerd, nodes: Agents, by_hand: Callable[[Namespace], None]
) -> None:
    net, client = wide
    before = net.kernel()[1]
    with stream(client, net.nodes, (VIP, VIP6), rate=2_000) as finish:
        for _ in range(ROUNDS):
            by_hand(net.router)
        report = finish()
    print(report)
    # An entry that is deleted while packets wait for it costs these: that is the kernel's own.
    assert report.lost <= ROUNDS
    assert net.kernel()[1] == before
    assert logged(routerd, "neighbour is silent") == []
    assert nodes[0].losses == 0
    await becomes(lambda: routerd.status()["ok"])


async def test_a_node_with_a_static_entry_need_not_answer(
    wide: tuple[Network, Namespace], routerd: Routerd, nodes: Agents
) -> None:
    """As behind a switch that answers for it, or with a firewall against ARP."""
    net, _ = wide
    lladdr = net.nodes.ip_json("link", "show", "eth0")[0]["address"]
    try:
        for address in (node(0), node6(0)):
            net.router.ip("neigh", "replace", address, "lladdr", lladdr, "dev", "eth0", "nud", "permanent")
        net.nodes.ip("link", "set", "eth0", "arp", "off")
        await net.has(VIP, 0)
        await net.has(VIP6, 0)
        assert [entry["gateway"] for entry in logged(routerd, "neighbour is silent")].count(node(0)) == 0
        for address in (node(0), node6(0)):
            assert "PERMANENT" in net.router.ip("neigh", "show", address)
    finally:
        net.nodes.ip("link", "set", "eth0", "arp", "on")
        flush(net.router)
        for address in (node(0), node6(0)):
            net.router.ip("neigh", "del", address, "dev", "eth0")
    await net.has(VIP, 0, 1, 2)


@pytest.mark.parametrize("kind", ["permanent", "noarp", "extern_learn", "managed"])
async def test_an_entry_that_somebody_else_takes_over_is_left_so(
    wide: tuple[Network, Namespace], routerd: Routerd, nodes: Agents, kind: str
) -> None:
    """Whether routerd looks at its next round or not: it has heard of that."""
    net, _ = wide
    lladdr = net.nodes.ip_json("link", "show", "eth0")[0]["address"]
    made = [kind] if kind in ("extern_learn", "managed") else ["nud", kind]
    try:
        for number in range(4):
            for address in (node(0), node6(0)):
                net.router.ip("neigh", "replace", address, "lladdr", lladdr, "dev", "eth0", *made)
            await asyncio.sleep(0.3)  # a probe or two, of which none may meet the entry
            for address in (node(0), node6(0)):
                assert kind in net.router.ip("neigh", "show", address, "nud", "all").lower()
                net.router.ip("neigh", "replace", address, "lladdr", lladdr, "dev", "eth0", "nud", "reachable")
            await asyncio.sleep(0.3 + number / 8)  # by now all are known to answer, and are not looked at
    finally:
        for address in (node(0), node6(0)):
            net.router.ip("neigh", "del", address, "dev", "eth0")
    await net.has(VIP, 0, 1, 2)
    assert logged(routerd, "neighbour is silent") == []


def solicitations(net: Network, wanted: set[str], seconds: float) -> int:
    """Count the IPv6 neighbour solicitations for these addresses that arrive at the nodes in some seconds.

    Nothing but routerd's probes asks for them: the sessions are IPv4's.
    """
    with net.nodes.enter(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD)) as sock:
        sock.bind(("eth0", 0x86DD))
        sock.settimeout(0.1)
        deadline, count = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            try:
                frame = sock.recv(128)
            except TimeoutError:
                continue
            solicitation = frame[20] == socket.IPPROTO_ICMPV6 and frame[54] == 135
            count += solicitation and socket.inet_ntop(socket.AF_INET6, frame[62:78]) in wanted
        return count


async def test_rotated_nodes_are_told_once_and_forgotten(
    wide: tuple[Network, Namespace], routerd: Routerd, nodes: Agents
) -> None:
    """Ten more nodes come, and go away with their addresses, as a cluster's autoscaler has them."""
    net, _ = wide
    rotated = range(10, 20)
    wanted = {node6(number) for number in rotated}
    gone = [(number, address) for number in rotated for address in (f"{node(number)}/24", f"{node6(number)}/64")]
    clients = [await net.establish(number, hold=9) for number in rotated]
    try:
        for number, client in zip(rotated, clients, strict=True):
            client.send(announcement(number, VIP) + announcement(number, VIP6))
        await net.has(VIP6, 0, 1, 2, *rotated)
        since = time.monotonic()
        for _, address in gone:
            net.nodes.ip("address", "del", address, "dev", "eth0")
        await net.has(VIP, 0, 1, 2)
        await net.has(VIP6, 0, 1, 2)
        assert routerd.peer(10)["state"] == "established"
        # They fail again and again, after 0.5 s each: told once, and asked less and less. Without back-off the kernel
        # asks ten times a second.
        asked = await asyncio.to_thread(solicitations, net, wanted, 4.0)
        print(f"{asked} solicitations for {len(wanted)} silent nodes in 4 s")
        assert 0 < asked < len(wanted) * 4 * 10 * 0.8
        await becomes(lambda: [n for n in rotated if routerd.peer(n)["state"] == "established"], [], 20)
        told = [entry["gateway"] for entry in logged(routerd, "neighbour is silent")]
        assert {address: told.count(address) for address in wanted} == dict.fromkeys(wanted, 1)
        # Once the sessions are gone nothing leads there, and nobody asks any more: the next time was after 16 s.
        await becomes(lambda: solicitations(net, wanted, 1.0), 0)
        assert await asyncio.to_thread(solicitations, net, wanted, since + 20.0 - time.monotonic()) == 0
        assert not [p for p in routerd.status()["problems"] if "link layer" in p["what"]]
    finally:
        for client in clients:
            await client.close()
        for _, address in gone:
            net.nodes.ip("address", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
