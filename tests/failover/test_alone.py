"""One node alone: its route has one leg, and its flows do not notice that a second node joins."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest

from routerd.lab.waiting import until
from tests.failover import flows
from tests.failover.cluster import VIP4, VIP6, Site, cluster, configuration

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

VIPS = {"ipv4": VIP4, "ipv6": VIP6}
IDLE = 1.5
FRESH = "172.16.1.77"


@pytest.fixture(scope="module")
def built() -> Iterator[Site]:
    with cluster(configuration(fib=f"idle_timer = {IDLE}"), 3) as site:
        yield site


@pytest.fixture
def site(built: Site) -> Site:
    built.start()
    return built


def _route(site: Site, vip: str) -> str:
    """Return what `ip route show` has for an address."""
    shown = site.router.run("ip", "-6" if ":" in vip else "-4", "route", "show", vip)
    return re.sub(r"nhid \d+", "nhid N", shown).strip()


@pytest.mark.parametrize("family", VIPS)
def test_a_second_node_joins_a_group_that_is_a_moment_old(site: Site, client: flows.Flows, family: str) -> None:
    """Under the same id, without a route message, and without a second object for the node that was alone."""
    vip = VIPS[family]
    alone, second, third = site.nodes
    alone.up(vip)
    site.wait_for(vip, [alone])
    gateway = alone.ipv4 if family == "ipv4" else alone.ipv6
    assert _route(site, vip).count(f" via {gateway} dev ") == _route(site, vip).count("via") == 1
    if family == "ipv4":
        assert re.fullmatch(rf"{vip} nhid N via {gateway} dev \S+ proto bgp metric 20", _route(site, vip))
    assert len(site.nexthops()) == 2
    before = client.open("alone", vip)
    assert before.alive == {alone.name: 300}
    id_ = site.group(vip)
    with site.route_messages() as messages:
        second.up(vip)
        site.wait_for(vip, [alone, second])
        third.up(vip)
        site.wait_for(vip, site.nodes)
        after = client.settle("alone")
        assert not after.broken, after
        until(lambda: "" if min(_shares(site, vip)) > 50 else str(_shares(site, vip)), 10, "shares")
        assert [line for line in messages() if vip in line] == []
    assert site.group(vip) == id_
    fresh = client.open("fresh", vip)
    assert min(fresh.alive.get(node.name, 0) for node in (second, third)) > 10, fresh
    after = client.settle("alone")
    print(f"{after}; fresh {fresh}")
    assert not after.broken, after
    for label in ("alone", "fresh"):
        client.close(label)


def _shares(site: Site, vip: str) -> list[int]:
    counts = site.buckets(vip)
    return [counts[node.name] for node in site.nodes]


def test_a_new_address_without_flows_is_balanced_at_once(built: Site) -> None:
    """However long the idle timer is, and though the first node has had a group for long."""
    built.start(configuration(fib="idle_timer = 120"))
    for node in built.nodes:
        node.up()
    built.nodes[0].announce(VIP4)
    built.wait_for(VIP4, built.nodes[:1])
    for node in built.nodes:
        node.announce(FRESH)
    built.wait_for(FRESH, built.nodes)
    until(lambda: "" if min(_shares(built, FRESH)) > 300 else str(_shares(built, FRESH)), 10, "fair shares")
    assert built.group(FRESH) != built.group(VIP4)


def test_status_says_that_a_group_is_not_balanced_yet_and_a_restart_does_not_forget_it(
    built: Site, client: flows.Flows
) -> None:
    built.start(configuration(fib="idle_timer = 4"))
    alone, second, _ = built.nodes
    alone.up(VIP4)
    built.wait_for(VIP4, [alone])
    client.open("alone", VIP4)
    second.up(VIP4)
    built.wait_for(VIP4, [alone, second])
    [group] = built.status()["groups"]
    assert not group["balanced"]
    assert [member["weight"] for member in group["members"]] == [1, 1]
    built.daemon.stop()
    built.start_daemon()
    for node in (alone, second):
        node.up(VIP4)
    until(lambda: "" if built.buckets(VIP4)[second.name] > 50 else str(built.buckets(VIP4)), 20, "a share")
    until(lambda: "" if built.status()["groups"][0]["balanced"] else "not yet", 10, "it is balanced")
    report = client.settle("alone")
    assert not report.broken, report
    client.close("alone")
