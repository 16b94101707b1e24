"""A node whose frames stop is out of the FIB in less than a second, whatever its BGP session says."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator

import pytest

from routerd.kernel import wire
from routerd.lab.waiting import until
from tests.failover.cluster import VIP4, VIP6, Node, Site, cluster, configuration
from tests.support.bgp import IPV4, IPV6, Graceful

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

GRACEFUL = Graceful(time=60, families={IPV4: True, IPV6: True})


@pytest.fixture(scope="module")
def built() -> Iterator[Site]:
    with cluster(configuration(), 3) as site:
        site.start()
        yield site


@pytest.fixture
def site(built: Site) -> Site:
    """Three nodes with graceful restart announce the VIPs."""
    built.close_sessions()
    for node in built.nodes:
        node.up(VIP4, VIP6, graceful=GRACEFUL)
    for vip in (VIP4, VIP6):
        built.wait_for(vip, built.nodes)
    return built


def test_a_silent_node_leaves_and_comes_back(site: Site) -> None:
    """Its session and its paths live on meanwhile: the silence is shorter than the hold time."""
    silent, *others = reversed(site.nodes)
    session = site.peer(silent)["sessions"]
    group = site.group(VIP4)
    for _ in range(3):
        with site.watching_nexthops() as watch:
            ids = [site.nexthop(silent, VIP4), site.nexthop(silent, VIP6)]
            since = site.silence(silent)
            took = [watch.deletion(id_) - since for id_ in ids]
        print(f"silent: out of the FIB after {took[0]:.3f} s (IPv4), {took[1]:.3f} s (IPv6)")
        assert max(took) < 1.0
        for vip in (VIP4, VIP6):
            assert site.next_hops(vip) == {node.name for node in others}
        peer = site.peer(silent)
        assert peer["state"] == "established"
        assert peer["silent"]
        assert peer["totals"]["accepted"] == 2
        assert peer["totals"]["in_fib"] == 0
        _views_agree(site, silent, others)

        site.revive(silent)
        back = max(site.wait_for(vip, site.nodes) for vip in (VIP4, VIP6))
        print(f"back after {back:.3f} s")
        assert site.group(VIP4) == group
        peer = site.peer(silent)
        assert not peer["silent"]
        assert peer["sessions"] == session


def test_a_new_network_card_is_no_silence(site: Site) -> None:
    """A node gets another link-layer address and tells nobody, as after a live migration or in a bond."""
    node, device = site.nodes[0], site.fabric.topology.nodes[0].network.name
    (link,) = json.loads(node.namespace.run("ip", "-j", "link", "show", device))
    silent = site.logged("neighbour is silent")
    for lladdr in ("02:00:00:00:99:01", link["address"]):
        with site.watching_nexthops() as watch:
            node.namespace.ip(f"link set {device} address {lladdr}")

            def known(lladdr: str = lladdr) -> str:
                entries = json.loads(site.router.run("ip", "-j", "neigh", "show", "dev", device))
                wrong = [e for e in entries if e["dst"] in (node.ipv4, node.ipv6) and e.get("lladdr") != lladdr]
                return str(wrong) if wrong else ""

            until(known, 10, "the new address is known")
        assert [id_ for _, kind, id_ in watch.seen if kind == wire.RTM_DELNEXTHOP] == []
    assert site.logged("neighbour is silent") == silent


def _views_agree(site: Site, silent: Node, others: list[Node]) -> None:
    """`routes`, `route` and `groups` show what the kernel has: the others, and not the silent node."""
    for vip in (VIP4, VIP6):
        length = 32 if "." in vip else 128
        (row,) = [
            row for row in json.loads(site.cli("routes", "--json"))["routes"] if row["prefix"] == f"{vip}/{length}"
        ]
        assert len(row["next_hops"]) == len(others)
        paths = {path["name"]: path for path in json.loads(site.cli("route", vip, "--json"))["paths"]}
        assert {name for name, path in paths.items() if path["multipath"]} == {
            name for name, path in paths.items() if not path["lost_at"].startswith("out: ")
        }
        assert sum(path["best"] for path in paths.values()) == 1
        out = [path for path in paths.values() if path["lost_at"] == "out: its link layer does not answer"]
        assert [path["peer"] for path in out] == [site.peer(silent)["address"]]


def test_a_speaker_that_dies_alone_does_not_take_its_node_out(site: Site) -> None:
    """Graceful restart: the host answers, so the node forwards on while its speaker is away."""
    node = site.nodes[-1]
    with site.watching_nexthops() as watch:
        node.close()
        until(
            lambda: "" if site.peer(node)["state"] == "stale" else site.peer(node)["state"], 15, "the session ended"
        )
        deadline = time.monotonic() + 1.5  # twice the time in which a silent node is found
        while time.monotonic() < deadline:
            assert node.name in site.next_hops(VIP4)
            assert node.name in site.next_hops(VIP6)
        assert not site.peer(node)["silent"]
        node.up(VIP4, VIP6, graceful=GRACEFUL)
        until(lambda: "stale" if site.peer(node)["totals"]["stale"] else "", 5, "its paths are fresh")
        assert [id_ for _, kind, id_ in watch.seen if kind == wire.RTM_DELNEXTHOP] == []


def test_a_node_that_dies_while_its_speaker_is_away(site: Site) -> None:
    """Graceful restart keeps its paths, but it does not answer: it is out as quickly as any other."""
    dead, *others = reversed(site.nodes)
    dead.close()
    until(lambda: "" if (found := site.peer(dead))["state"] == "stale" else f"{found}", 15, "the session ended")
    with site.watching_nexthops() as watch:
        id_ = site.nexthop(dead)
        since = site.silence(dead)
        took = watch.deletion(id_) - since
    print(f"stale and silent: out of the FIB after {took:.3f} s")
    assert took < 1.0
    for vip in (VIP4, VIP6):
        site.wait_for(vip, others, 2)
    assert site.peer(dead)["state"] == "stale"


def test_a_node_whose_link_goes_down(site: Site) -> None:
    """The router's own carrier stays, as it does behind a switch."""
    dead, *others = reversed(site.nodes)
    place = next(place for place in site.fabric.topology.nodes if place.name == dead.name)
    with site.watching_nexthops() as watch:
        id_ = site.nexthop(dead)
        since = time.monotonic()
        site.fabric.unplug(place.attachment)
        took = watch.deletion(id_) - since
    print(f"link down: out of the FIB after {took:.3f} s")
    try:
        assert took < 1.0
        for vip in (VIP4, VIP6):
            site.wait_for(vip, others, 1)
    finally:
        site.fabric.plug(place.attachment)
    site.wait_for(VIP4, site.nodes)


def test_without_liveness_the_hold_time_decides(built: Site) -> None:
    built.start(configuration(liveness='method = "off"'))
    for node in built.nodes:
        node.up(VIP4, VIP6, hold=3)
    built.wait_for(VIP4, built.nodes)
    silent, *others = reversed(built.nodes)
    since = built.silence(silent)
    while time.monotonic() < since + 1.5:
        assert silent.name in built.next_hops(VIP4)
    built.wait_for(VIP4, others, 5)
    took = time.monotonic() - since
    print(f"without liveness: {took:.1f} s with a hold time of 3 s")
    assert took > 1.9
