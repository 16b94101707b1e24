"""routerd and FRR on one router, both with routes of protocol bgp and metric 20: neither harms the other."""

from __future__ import annotations

import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.daemon.harness import CONFIG, ROUTER, Network, Routerd, announcement, becomes, cli, node, node6
from tests.support import bgp
from tests.support.frr import ASN, Frr, frr, needs_frr, peer
from tests.support.netns import Namespace, needs_root

pytestmark = [needs_root, needs_frr]

UPSTREAM = 50
"""The node that is FRR's peer, not routerd's."""
FRRS = ("0.0.0.0/0", "198.51.100.0/24", "::/0", "2001:db8:77::/48")
TAKEN = "172.16.7.7"
"""A VIP that FRR has a route to as well."""
VIPS = ("172.16.1.1", "fd00:ac10::1")
AUDITED = CONFIG.replace("[api]", "[fib]\naudit_interval = 1\n\n[api]")


@pytest.fixture
def other(network: Network) -> Iterator[Frr]:
    with frr(network.router, ROUTER, node(UPSTREAM)) as made:
        yield made


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Routerd]:
    made = Routerd(network.router, tmp_path, AUDITED)
    yield made
    made.kill()


@asynccontextmanager
async def feed(network: Network) -> AsyncIterator[None]:
    """Be the peer of FRR, until it has its routes in the kernel and for as long as the block lasts."""
    client = await peer(network.nodes, ROUTER, node(UPSTREAM))
    try:
        ipv4 = [prefix for prefix in (*FRRS, f"{TAKEN}/32") if ":" not in prefix]
        ipv6 = [prefix for prefix in FRRS if ":" in prefix]
        client.send(bgp.update(bgp.attributes(next_hop=node(UPSTREAM), as_path=(ASN,)), ipv4))
        client.send(bgp.update(bgp.attributes(as_path=(ASN,)) + bgp.mp_reach(node6(UPSTREAM), ipv6)))
        await becomes(lambda: len(frrs(network)[0]), len(FRRS) + 1, 20)
        yield
    finally:
        await client.close()


def frrs(network: Network) -> tuple[list[str], list[str]]:
    """Return FRR's routes and nexthops in the kernel."""
    routes, nexthops = network.kernel()
    upstream = (f"via {node(UPSTREAM)} ", f"via {node6(UPSTREAM)} ")
    shown = [line for line in routes if any(each in line for each in upstream)]
    assert all(re.search(r"nhid \d+ .*proto bgp metric 20\b", line) for line in shown), shown
    return shown, [line for line in nexthops if "proto zebra" in line]


async def is_right(network: Network) -> None:
    for vip in VIPS:
        await network.has(vip, 0)


async def audited(network: Network) -> None:
    """Wait for a whole audit: it removes a stray route."""
    for _ in range(2):  # the first one may have been found by an audit that was under way
        stray = ("172.16.200.1", "nhid", str(network.nhid(VIPS[0])), "metric", "20", "proto", "bgp")
        network.router.ip("route", "add", *stray)
        await becomes(lambda: network.route("172.16.200.1"), "")


@contextmanager
def unheard(router: Namespace, path: Path, pattern: str) -> Iterator[None]:
    """Fail if the kernel tells of a change of what matches `pattern` while the block lasts."""
    with path.open("w") as sink, router.spawn("ip", "-o", "monitor", "route", "nexthop", stdout=sink) as monitor:
        try:
            yield
        finally:
            monitor.kill()
    assert [line for line in path.read_text().splitlines() if re.search(pattern, line)] == []


def flush(network: Network, daemon: Routerd, *options: str) -> None:
    with network.router.enter():
        done = cli("flush", "--config", str(daemon.config), *options)
    assert (done.returncode, done.stderr) == (0, "")


async def announce(network: Network, clients: list[bgp.Client]) -> None:
    client = await network.establish(0)
    clients.append(client)
    client.send(announcement(0, VIPS[0], TAKEN) + announcement(0, VIPS[1]))
    client.send(bgp.end_of_rib(bgp.IPV4) + bgp.end_of_rib(bgp.IPV6))


async def test_what_frr_has_is_untouched_through_start_audit_restart_and_flush(
    network: Network, other: Frr, daemon: Routerd, clients: list[bgp.Client], tmp_path: Path
) -> None:
    other.start()
    async with feed(network):
        before = frrs(network)
        theirs = rf"via ({node(UPSTREAM)}|{node6(UPSTREAM)}) |proto zebra"
        with unheard(network.router, tmp_path / "monitor", theirs):
            daemon.start()
            await announce(network, clients)
            await is_right(network)
            await audited(network)
            told = "the kernel refuses it: a foreign route to this prefix with metric 20 exists (errno 17)"
            await becomes(daemon.problems, {f"route {TAKEN}/32": told})
            foreign = daemon.status()["fib"]["foreign_bgp"]
            assert (foreign["routes"], foreign["nexthops"]) == (len(FRRS) + 1, 0)
            assert set(foreign["first"]) == {*FRRS, f"{TAKEN}/32"}
            assert f"foreign  {len(FRRS) + 1} routes, 0 nexthops of protocol bgp" in daemon.cli("status").stdout
            assert daemon.stop() == 0
            daemon.start()
            await announce(network, clients)
            await is_right(network)
            daemon.kill()
            daemon.start()
            flush(network, daemon, "--force")
            await announce(network, clients)
            await is_right(network)
            assert daemon.stop() == 0
            flush(network, daemon)
        assert frrs(network) == before
        own = [line for line in network.kernel()[0] if re.search(r"nhid 9\d{8}", line)]
        assert own == []


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
async def test_what_routerd_has_is_untouched_whenever_frr_starts_and_ends(
    network: Network,
    other: Frr,
    daemon: Routerd,
    clients: list[bgp.Client],
    tmp_path: Path,
    *,
    end: signal.Signals,
) -> None:
    """zebra takes all routes of protocol bgp that it finds at its start for its own leftovers, and removes them if it
    knows their nexthop ids. It ignores those of routerd's range. To a prefix that both have it replaces the route,
    and may remove what routerd wrote there meanwhile: that route, and the group it owns, are not looked at."""
    daemon.start()
    await announce(network, clients)
    await is_right(network)
    await network.has(TAKEN, 0)
    legs = [line for line in network.kernel()[1] if " via " in line and "proto bgp" in line]
    ids = {*map(network.nhid, VIPS), *(int(line.split()[1]) for line in legs)}
    assert len(ids) == 2 * len(VIPS)
    ours = rf"Deleted ({'|'.join(VIPS)}|id ({'|'.join(map(str, ids))})) "
    for _ in range(2):
        with unheard(network.router, tmp_path / "monitor", ours):
            other.start()
            async with feed(network):
                await becomes(lambda: f"route {TAKEN}/32" in daemon.problems())
                other.stop(end)
            await is_right(network)
    if end is signal.SIGTERM:  # then zebra takes its routes along
        await network.has(TAKEN, 0)
    await audited(network)
    await is_right(network)
    assert daemon.running
