"""Nodes on two links, and one of the links is lost and comes back: only its own flows suffer, and of these only those
whose buckets were used meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from routerd.lab.topology import CLIENT_NETWORK, FIRST_NODE_HOST, NODES_10, NODES_20, Node, Topology
from routerd.lab.waiting import until
from tests.failover import flows
from tests.failover.cluster import VIP4, VIP6, Site, cluster, configuration

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

VIPS = {"ipv4": VIP4, "ipv6": VIP6}
ONE_LINK = {"ipv4": "172.16.1.2", "ipv6": "fd00:ac10::2"}
"""Announced by the nodes of the link that is lost, alone."""
SILENT = 3.0
"""Seconds, at least, between two words of a flow that speaks seldom."""
HELD = 0.5
"""Seconds for which the link is away."""


@pytest.fixture(scope="module")
def built() -> Iterator[Site]:
    places = [(NODES_10, 0), (NODES_10, 1), (NODES_20, 2), (NODES_20, 3)]
    nodes = tuple(Node(f"node{n}", n, network, FIRST_NODE_HOST + n) for network, n in places)
    config = configuration(fib="idle_timer = 4") + '\n[[dynamic_peers]]\nrange = "192.168.20.0/24"\ngroup = "nodes"\n'
    with cluster(config, Topology(nodes, CLIENT_NETWORK)) as site:
        site.router.run("sysctl", "-qw", "net.ipv6.conf.all.keep_addr_on_down=1")
        site.start()
        for node in site.nodes[:2]:
            for vip in ONE_LINK.values():
                node.namespace.ip(f"address add {vip} dev lo")
        for node in site.nodes:
            node.up(VIP4, VIP6, *(ONE_LINK.values() if node in site.nodes[:2] else ()))
        yield site


def _balanced(site: Site) -> str:
    return "" if all(group["balanced"] for group in site.status()["groups"]) else "not yet"


def _uneven(site: Site, vip: str) -> str:
    counts = site.buckets(vip)
    return "" if max(counts.values()) - min(counts.values()) <= 1 else str(counts)


@pytest.mark.parametrize("family", VIPS)
def test_flows_of_the_other_link_live_and_silent_ones_of_this_link_too(
    built: Site, client: flows.Flows, family: str
) -> None:
    site, vip, alone = built, VIPS[family], ONE_LINK[family]
    link = site.fabric.topology.nodes[0].network.attachment("router", 200)
    site.wait_for(vip, site.nodes)
    site.wait_for(alone, site.nodes[:2])
    until(lambda: _balanced(site), 20, "balance")
    client.open("busy", vip, 200, pause=(0.1, 0.2))
    client.open("seldom", vip, 200, pause=(SILENT, SILENT + 0.5))
    client.open("alone", alone, 100)
    until(lambda: _balanced(site) or _uneven(site, vip) or _uneven(site, alone), 20, "balance")
    for each in (vip, alone):
        until(lambda each=each: site.unread(each), 20, "a reading of the buckets")
    before, theirs = site.layout(vip), site.layout(alone)
    unplugged = time.monotonic()
    site.fabric.unplug(link)
    site.wait_for(vip, site.nodes[2:])
    time.sleep(HELD)
    site.fabric.plug(link)
    site.wait_for(vip, site.nodes)
    away = time.monotonic() - unplugged
    site.wait_for(alone, site.nodes[:2])
    now = site.layout(alone)
    moved = sum(node != now[bucket] for bucket, node in theirs.items())
    assert not moved, f"{moved} of {len(theirs)} buckets changed hands\n{site.cli('events')[-6000:]}"
    after = site.layout(vip)
    same = sum(node == after[bucket] for bucket, node in before.items())
    reports = {label: client.settle(label) for label in ("busy", "seldom", "alone")}
    print(f"{same} of {len(before)} buckets are as before; {reports}")
    lost = {node.name for node in site.nodes[:2]}
    assert not reports["alone"].broken
    for label in ("busy", "seldom"):
        assert set(reports[label].broken) <= lost
    broken = sum(reports["seldom"].broken.values())
    theirs_too = broken + sum(reports["seldom"].alive.get(name, 0) for name in lost)
    assert broken < theirs_too * (away / SILENT + 0.2), f"those that spoke in the {away:.1f} s"
    for label in ("busy", "seldom", "alone"):
        client.close(label)
