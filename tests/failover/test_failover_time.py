"""From the end of a session to a group without its node: how long it takes does not depend on the prefixes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from routerd.api.inspection import PeerDetailView
from routerd.cli.client import Client
from routerd.lab.waiting import until
from tests.failover.cluster import VIP4, VIP6, Node, Site, cluster, configuration, prefixes

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

ROUNDS = 3


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with cluster(configuration(group='next_hop = "any"'), 3) as site:
        site.start()
        yield site


def _failover(site: Site, count: int) -> float:
    """Let the last of three peers with the same prefixes die, several times; return the best time in seconds."""
    announced = prefixes(count)
    for node in site.nodes:
        node.up(*announced)
    dying = site.nodes[-1]
    times = []
    for _ in range(ROUNDS):
        _wait_for_prefixes(site, count, 3)
        with site.watching_nexthops() as watch:
            id_ = site.nexthop(dying)
            members = site.group(announced[0])
            closed = dying.close()
            times.append(watch.deletion(id_) - closed)
            site.wait_for(announced[-1], site.nodes[:-1])
            assert site.group(announced[0]) == members
        dying.up(*announced)
    site.close_sessions()
    _wait_for_prefixes(site, 0, 0)
    print(f"{count} prefixes: {', '.join(f'{1000 * took:.1f}' for took in times)} ms")
    return min(times)


def _wait_for_prefixes(site: Site, count: int, peers: int) -> None:
    def missing() -> str:
        status = site.status()
        full = [peer for peer in status["peers"] if count and peer["totals"]["in_fib"] == count]
        fib = status["fib"]
        return "" if (len(full), fib["routes"], fib["unwritten"]) == (peers, count, 0) else f"{fib}"

    until(missing, 60, f"{count} prefixes of {peers} peers")


def test_failover_is_as_quick_with_a_hundred_times_the_prefixes(site: Site) -> None:
    few, many = _failover(site, 1_000), _failover(site, 100_000)
    assert many < 5 * max(few, 0.002)
    assert many < 0.050


def test_failover_jumps_the_queue(site: Site) -> None:
    """A node dies while the whole table of another one is being read."""
    announced = prefixes(100_000)
    first, loading, dying = site.nodes
    times = []
    for _ in range(ROUNDS):
        for node in (first, dying):
            node.up(*announced)
        loading.up()
        _wait_for_prefixes(site, len(announced), 2)
        site.wait_for(announced[-1], (first, dying))
        with site.watching_nexthops() as watch:
            id_ = site.nexthop(dying)
            loading.announce(*announced, wait=False)
            until(lambda: "" if _received(site, loading) else "none", 10, "the first ones are read")
            closed = dying.close()
            times.append(watch.deletion(id_) - closed)
        _wait_for_prefixes(site, len(announced), 2)
    site.close_sessions()
    _wait_for_prefixes(site, 0, 0)
    print(f"while loading: {', '.join(f'{1000 * took:.1f}' for took in times)} ms")
    assert min(times) < 0.2


def _received(site: Site, node: Node) -> int:
    """Return how many prefixes were heard from a node, however many there are at once."""
    found: PeerDetailView = Client(str(site.daemon.socket)).get(f"/v1/peers/{node.ipv4}")
    return found["peer"]["totals"]["received"]


def test_a_peer_that_shares_its_next_hop_is_not_cut_off(site: Site) -> None:
    """next_hop = "any": two peers announce the same gateway, as route reflectors on two nodes do."""
    first, second, gateway = site.nodes
    hops = (gateway.ipv4, gateway.ipv6)
    for node in (first, second):
        node.dial()
        node.announce(VIP4, VIP6, next_hop=hops)
        node.end_of_rib()
    for vip in (VIP4, VIP6):
        site.wait_for(vip, [gateway])
    _wait_for_prefixes(site, 2, 2)
    ids = [site.nexthop(gateway, vip) for vip in (VIP4, VIP6)]
    kept = {*ids, *(site.group(vip) for vip in (VIP4, VIP6))}
    with site.watching_nexthops() as watch, site.route_messages() as messages:
        second.close()
        until(lambda: "" if site.peer(second)["state"] != "established" else "up", 5, "its session is over")
        until(lambda: str(site.peer(second)["totals"]["received"] or ""), 5, "its paths are gone")
        assert site.next_hops(VIP4) == site.next_hops(VIP6) == {gateway.name}
        # What the test before left may still be tidied up; nothing of this one is touched.
        assert [each for each in watch.seen if each[2] in kept] == []
        assert [line for line in messages() if VIP4 in line or VIP6 in line] == []
        closed = first.close()
        for id_ in ids:
            watch.deletion(id_)
        print(f"the last peer: {time.monotonic() - closed:.3f} s")
    for vip in (VIP4, VIP6):
        site.wait_for(vip, [], 2)
