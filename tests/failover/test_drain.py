"""A drained node gets no new flows, keeps the established ones until they end by themselves, and is then empty."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from routerd.lab.waiting import until
from routerd.service.draining import LOOK
from tests.failover import flows
from tests.failover.cluster import GRACEFUL_SHUTDOWN, VIP4, VIP6, Node, Site, cluster, configuration
from tests.failover.drain_table import prepare, shares

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

IDLE = 1.0
BUCKETS = 1024


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with cluster(_config(tmp_path_factory.mktemp("state")), 3) as site:
        site.start()
        yield site


def _config(directory: Path) -> str:
    return configuration(fib=f"idle_timer = {IDLE}\nbuckets = {BUCKETS}", state_file=str(directory / "drains.json"))


@pytest.fixture
def site(built: Site) -> Site:
    """Three nodes share the VIPs fairly, and nothing is drained."""
    built.close_sessions()
    built.wait_for(VIP4, [])
    for node in built.nodes:
        node.up(VIP4, VIP6)
    for vip in (VIP4, VIP6):
        built.wait_for(vip, built.nodes)
    for node in built.nodes:
        built.cli("undrain", node.ipv4)
    _wait_for_fair_shares(built)
    return built


def _wait_for_fair_shares(site: Site) -> None:
    def unfair() -> str:
        counts = site.buckets(VIP4)
        return "" if min(counts[node.name] for node in site.nodes) >= BUCKETS // 3 else str(counts)

    until(unfair, 10, "fair shares")


def _wait_for_idle_buckets_to_move(site: Site, node: Node) -> int:
    """Wait until the node has only buckets that carry flows; return how many."""

    def idle() -> str:
        kept, busy = site.buckets(VIP4)[node.name], site.buckets(VIP4, 2 * IDLE)[node.name]
        return f"{kept} buckets, {busy} of them in use" if kept > busy else ""

    until(idle, 10, "idle buckets leave the drained node")
    return site.buckets(VIP4)[node.name]


def _not_told_once(site: Site, node: Node) -> str:
    """Return what is wrong with the events since the last drain of a node; empty if it was told once to be empty."""
    events = [json.loads(line) for line in site.cli("events", "--json").splitlines()]
    told = [each["event"] for each in events if each["event"] in ("drain", "drained") and each["peer"] == node.ipv4]
    return "" if told[-2:] == ["drain", "drained"] else str(told)


def test_a_drain_lets_flows_end_and_says_when(site: Site, client: flows.Flows) -> None:
    drained, *others = reversed(site.nodes)
    before = client.open("old", VIP4, 300, life=(6, 8))
    before6 = client.open("old6", VIP6, 100, life=(6, 8))
    assert not before.broken
    assert not before6.broken
    with site.spawn("drain", drained.ipv4, "--wait", "--timeout", "40") as waiting:
        until(lambda: "" if site.peer(drained)["drain"] == "operator" else "not drained", 5, "the drain began")
        assert "drain" in site.cli("status", check=False)

        kept = _wait_for_idle_buckets_to_move(site, drained)
        assert 0 < kept <= before.alive[drained.name]
        said, told = waiting.poll(), not _not_told_once(site, drained)
        left = client.report("old").alive.get(drained.name, 0)
        assert not told or not left, f"an event says that the node is empty, and {left} flows are left"
        assert said is None or not left, f"it says that the node is empty, and {left} flows are left"
        fresh = client.open("new", VIP4, 300, life=(1, 2))
        expected = 300 * kept / BUCKETS
        print(f"{kept} busy buckets of {BUCKETS}; of 300 new flows {fresh.alive[drained.name]} reach the node")
        assert not fresh.broken
        assert fresh.alive.get(drained.name, 0) < 2 * expected + 15

        answer, complaint = waiting.communicate(timeout=45)
        assert waiting.returncode == 0, answer + complaint
    until(lambda: _not_told_once(site, drained), 3 * LOOK, "the event that the drain is empty")
    # What was there has ended by itself, or lives: nothing is left on the drained node, which can go now.
    for label in ("old", "old6", "new"):
        report = client.report(label)
        assert not report.broken, report
        assert drained.name not in report.alive, report
    client.open("others", VIP4)
    assert drained.name not in client.report("others").alive
    site.silence(drained)
    drained.close()
    site.wait_for(VIP4, others)
    for label in ("old", "old6", "new", "others"):
        report = client.settle(label)
        print(f"{label}: {report}")
        assert not report.broken, report
        client.close(label)


def test_an_undrained_node_gets_its_share_again(site: Site, client: flows.Flows) -> None:
    drained = site.nodes[-1]
    client.open("old", VIP4)
    site.cli("drain", drained.ipv4)
    _wait_for_idle_buckets_to_move(site, drained)
    report = client.settle("old")
    assert not report.broken, report
    assert '"drain": ""' in site.cli("undrain", drained.ipv4, "--json")
    _wait_for_fair_shares(site)
    assert not client.open("new", VIP4).broken
    assert client.report("new").alive[drained.name] > 50
    for label in ("old", "new"):
        report = client.settle(label)
        assert not report.broken, report
        client.close(label)


def test_a_drain_survives_a_restart_of_the_daemon(site: Site, client: flows.Flows) -> None:
    drained = site.nodes[-1]
    old = client.open("old", VIP4)
    site.cli("drain", drained.ipv4)
    kept = _wait_for_idle_buckets_to_move(site, drained)
    site.daemon.stop()
    site.start_daemon()
    for node in site.nodes:
        node.up(VIP4, VIP6)

    def not_drained() -> str:
        known = {peer["address"]: peer["drain"] for peer in site.status()["peers"]}  # one of a range, once it dialled
        return "" if known.get(drained.ipv4) == "operator" else f"{known}"

    until(not_drained, 5, "it is drained still")
    until(lambda: "" if site.peer(drained)["totals"]["in_fib"] == 2 else "not yet", 5, "it is in the FIB")
    site.wait_for(VIP4, site.nodes)
    report = client.settle("old")
    print(f"restart: {report}; {kept} buckets before, {site.buckets(VIP4)[drained.name]} after")
    assert report.alive == old.alive, report
    assert site.buckets(VIP4)[drained.name] <= kept
    client.close("old")
    until(lambda: str(site.buckets(VIP4)[drained.name] or ""), 10, "the drained node is empty")
    assert drained.name not in client.open("new", VIP4).alive
    client.close("new")


def test_a_node_drains_itself_with_graceful_shutdown(site: Site, client: flows.Flows) -> None:
    """RFC 8326: the community is a request to move traffic away gently, which a drain does and a worse path not."""
    leaving = site.nodes[-1]
    client.open("old", VIP4)
    leaving.announce(VIP4, community=GRACEFUL_SHUTDOWN)
    until(lambda: "" if site.peer(leaving)["leaving"] == 1 else "not yet", 5, "the address is drained")
    assert site.peer(leaving)["drain"] == ""
    kept = _wait_for_idle_buckets_to_move(site, leaving)
    fresh = client.open("new", VIP4, 100, life=(0.1, 0.2))
    assert fresh.alive.get(leaving.name, 0) + fresh.ended.get(leaving.name, 0) < 2 * 100 * kept / BUCKETS + 10
    report = client.settle("old")
    assert not report.broken, report
    assert report.alive[leaving.name] > 50

    assert site.buckets(VIP6)[leaving.name] >= BUCKETS // 3  # RFC 8326 speaks of paths, not of nodes

    leaving.announce(VIP4)
    until(lambda: str(site.peer(leaving)["leaving"] or ""), 5, "the address stays after all")
    _wait_for_fair_shares(site)
    report = client.settle("old")
    assert not report.broken, report
    client.close("old")
    client.close("new")


def test_waiting_for_flows_that_have_nowhere_to_go_is_refused(site: Site) -> None:
    lonely = site.nodes[-1]
    lonely.announce("172.16.9.9")
    site.wait_for("172.16.9.9", [lonely])
    with site.spawn("drain", lonely.ipv4, "--wait", "--timeout", "20") as waiting:
        answer, complaint = waiting.communicate(timeout=25)
    assert waiting.returncode == 1
    assert "no other next hop" in complaint, answer + complaint
    assert site.next_hops("172.16.9.9") == {lonely.name}


def test_more_buckets_leave_less_to_a_drained_node(built: Site, client: flows.Flows) -> None:
    """Under a load of new flows a bucket that is never idle never moves. `drain_table` measures it at length."""
    found = {}
    for buckets in (64, 4096):
        prepare(built, buckets, IDLE)
        (found[buckets],) = shares(built, client, 150, [(1.5, 3)])
        print(f"{buckets} buckets: {found[buckets]:.1%} of 150 new flows/s reach the drained node")
    assert found[4096] < found[64] / 2
    assert found[4096] < 0.05
