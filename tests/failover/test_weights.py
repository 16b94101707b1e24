"""Nodes that announce link bandwidth get flows in proportion, and whatever they announce later breaks none."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from routerd.lab.waiting import until
from tests.failover import flows
from tests.failover.cluster import VIP4, VIP6, Site, cluster, configuration

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

IDLE = 1.0
BUCKETS = 1024
VIPS = (VIP4, VIP6)


@pytest.fixture(scope="module")
def built() -> Iterator[Site]:
    fib = f'idle_timer = {IDLE}\nbuckets = {BUCKETS}\nlink_bandwidth = "skip-missing"'
    with cluster(configuration(fib=fib), 3) as site:
        site.start()
        yield site


def _announce(site: Site, *bandwidths: float | None) -> None:
    for node, bandwidth in zip(site.nodes, bandwidths, strict=True):
        node.announce(*VIPS, bandwidth=bandwidth)


def _wait_for_weights(site: Site, *weights: int, carrying: bool = False) -> None:
    """Wait until the kernel's groups have these weights, and each node as many buckets as its own wants; if they are
    `carrying` flows, no more than those, or than flows are in."""

    def wrong() -> str:
        for vip in VIPS:
            (group,) = (each for each in site.status()["groups"] if each["id"] == site.group(vip))
            there = {member["gateway"]: member["weight"] for member in group["members"]}
            found = [there[node.ipv4 if vip == VIP4 else node.ipv6] for node in site.nodes]
            if any(a * weights[0] != found[0] * b for a, b in zip(found, weights, strict=True)):
                return f"{vip}: {found}"
            counts, busy = site.buckets(vip), site.buckets(vip, 2 * IDLE)
            for node, weight in zip(site.nodes, weights, strict=True):
                most = BUCKETS * weight // sum(weights) + 1
                if counts[node.name] > (max(most, busy[node.name]) if carrying else most):
                    return f"{vip}: {counts}, of which {busy} are in use"
        return ""

    until(wrong, 15, f"weights in the ratio {weights}")


def test_flows_follow_the_bandwidth_and_stay_when_it_changes(built: Site, client: flows.Flows) -> None:
    for node in built.nodes:
        node.up()
    _announce(built, 125000, 250000, 375000)
    for vip in VIPS:
        built.wait_for(vip, built.nodes)
    _wait_for_weights(built, 1, 2, 3)
    for label, vip in zip(("old", "old6"), VIPS, strict=True):
        report = client.open(label, vip)
        counts = [report.alive[node.name] for node in built.nodes]
        print(f"{label}: {counts}")
        # 300 flows: 50, 100 and 150; three standard deviations are 19, 24 and 26.
        assert all(abs(count - wanted) < 30 for count, wanted in zip(counts, (50, 100, 150), strict=True)), counts

    with built.route_messages() as messages:
        for bandwidths, weights in (((375000, 250000, 125000), (3, 2, 1)), ((125000,) * 3, (1, 1, 1))):
            _announce(built, *bandwidths)
            _wait_for_weights(built, *weights, carrying=True)
        assert messages() == []
    for label in ("old", "old6"):
        report = client.settle(label)
        print(f"{label}: {report}")
        assert not report.broken, report
        client.close(label)


def test_who_says_nothing_gets_no_new_flow_and_keeps_its_own(built: Site, client: flows.Flows) -> None:
    for node in built.nodes:
        if not node.connected:
            node.up()
    _announce(built, 125000, 125000, 125000)
    _wait_for_weights(built, 1, 1, 1)
    before = client.open("old", VIP4)
    last = built.nodes[-1]
    _announce(built, 125000, 125000, None)
    until(lambda: "" if _idle(built) else "idle buckets", 15, "idle buckets leave the node that says nothing")
    kept = built.buckets(VIP4)[last.name]
    assert 0 < kept <= before.alive[last.name]
    fresh = client.open("new", VIP4)
    assert fresh.alive.get(last.name, 0) < 2 * 300 * kept / BUCKETS + 15
    assert "all is well" in built.cli("status")
    for label in ("old", "new"):
        report = client.settle(label)
        assert not report.broken, report
        client.close(label)


def _idle(site: Site) -> bool:
    last = site.nodes[-1].name
    return site.buckets(VIP4)[last] <= site.buckets(VIP4, 2 * IDLE)[last]


def test_weights_outlive_a_restart_from_which_nodes_return_late(built: Site, client: flows.Flows) -> None:
    bandwidths = (125000, 250000, 375000)
    for node in built.nodes:
        if not node.connected:
            node.up()
    _announce(built, *bandwidths)
    _wait_for_weights(built, 1, 2, 3)
    before = {vip: built.layout(vip) for vip in VIPS}
    for label, vip in zip(("old", "old6"), VIPS, strict=True):
        client.open(label, vip)
    built.daemon.kill()
    built.close_sessions()
    built.start_daemon()
    for node, bandwidth in zip(built.nodes, bandwidths, strict=True):
        time.sleep(2 * IDLE)  # groups whose weights are known are balanced by then
        assert {vip: built.layout(vip) for vip in VIPS} == before
        node.dial()
        node.announce(*VIPS, bandwidth=bandwidth)
        node.end_of_rib()
    until(lambda: "" if "all is well" in built.cli("status") else "not yet", 15, "all have returned")
    _wait_for_weights(built, 1, 2, 3)
    assert {vip: built.layout(vip) for vip in VIPS} == before
    for label in ("old", "old6"):
        report = client.settle(label)
        assert not report.broken, report
        client.close(label)
