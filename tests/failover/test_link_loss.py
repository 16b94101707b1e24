"""A link goes down and comes back. The kernel deletes groups with their last member: they come back as they were."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from routerd.lab.waiting import until
from tests.failover import flows
from tests.failover.cluster import VIP4, VIP6, Site, cluster, configuration

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

VIPS = {"ipv4": VIP4, "ipv6": VIP6}
IDLE = 4.0


@pytest.fixture(scope="module")
def built() -> Iterator[Site]:
    with cluster(configuration(fib=f"idle_timer = {IDLE}"), 3) as site:
        site.router.run("sysctl", "-qw", "net.ipv6.conf.all.keep_addr_on_down=1")
        site.start()
        for node in site.nodes:
            node.up(VIP4, VIP6)
        yield site


def _carrier(site: Site, state: str) -> None:
    port = site.fabric.topology.nodes[0].network.attachment("router", 200).port
    site.fabric.switch.run("ip", "link", "set", port, state)


def _interface(site: Site, state: str) -> None:
    site.router.run("ip", "link", "set", site.fabric.topology.nodes[0].network.name, state)


def _layout(site: Site, vip: str) -> str:
    counts = site.buckets(vip)
    return "" if min(counts[node.name] for node in site.nodes) > 50 else str(counts)


@pytest.mark.parametrize("link", [_carrier, _interface], ids=["carrier", "interface"])
@pytest.mark.parametrize("family", VIPS)
def test_flows_outlive_a_loss_of_the_link(
    built: Site, client: flows.Flows, family: str, link: Callable[[Site, str], None]
) -> None:
    """Not as the weights alone would have laid it out: a drain and what followed have left their marks."""
    site, vip = built, VIPS[family]
    site.wait_for(vip, site.nodes)
    until(lambda: _layout(site, vip), 20, "shares")
    client.open("first", vip, 100)
    site.cli("drain", site.nodes[0].ipv4)
    until(lambda: "" if site.buckets(vip)[site.nodes[0].name] < 100 else "not yet", 20, "a drain")
    until(lambda: site.unread(vip), 20, "a reading of the drain")  # so that the next one is of what follows
    site.cli("undrain", site.nodes[0].ipv4)
    until(lambda: _layout(site, vip), 20, "shares")
    before = client.open("flows", vip)
    until(lambda: "" if all(group["balanced"] for group in site.status()["groups"]) else "no", 20, "balance")
    counts = site.buckets(vip)
    until(lambda: site.unread(vip), 20, "a reading of the buckets")

    link(site, "down")
    site.wait_for(vip, [])
    link(site, "up")
    site.wait_for(vip, site.nodes)
    after = client.settle("flows")
    print(f"{before} -> {after}; {counts} -> {site.buckets(vip)}")
    assert not after.broken, after
    assert after.alive == before.alive
    until(lambda: "" if all(group["balanced"] for group in site.status()["groups"]) else "no", 20, "balance")
    after = client.settle("flows")
    assert not after.broken, after
    assert not client.settle("first").broken
    for label in ("first", "flows"):
        client.close(label)
