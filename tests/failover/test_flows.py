"""Established connections of the nodes that stay notice nothing of those that leave and join."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator

import pytest

from routerd.lab.waiting import until
from tests.failover import flows
from tests.failover.cluster import VIP4, VIP6, Node, Site, cluster, configuration

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

VIPS = {"ipv4": VIP4, "ipv6": VIP6}
OTHER_VIP, THIRD_VIP = "172.16.1.2", "172.16.1.3"
ALL = (VIP4, VIP6, OTHER_VIP, THIRD_VIP)
SEEDS = [int(seed) for seed in os.environ.get("FAILOVER_SEEDS", "1").split(",")]
"""More of them, with FAILOVER_SEEDS=1,2,3, are more ways to go wrong."""
DEEDS = ("withdraw", "withdraw", "announce", "announce", "close", "silence", "drain", "undrain")
IDLE = 1.5
"""Seconds until a bucket may move; the connections talk at least every half second."""


@pytest.fixture(scope="module")
def built() -> Iterator[Site]:
    with cluster(configuration(fib=f"idle_timer = {IDLE}"), 3) as site:
        for node in site.nodes:
            node.namespace.ip(*(f"address add {vip}/32 dev lo" for vip in (OTHER_VIP, THIRD_VIP)))
        site.start()
        yield site


@pytest.fixture
def site(built: Site) -> Site:
    """All nodes announce all VIPs, and all groups are balanced."""
    built.close_sessions()
    built.wait_for(VIP4, [])
    for node in built.nodes:
        node.up(*ALL)
    for vip in ALL:
        built.wait_for(vip, built.nodes)
        until(lambda vip=vip: _unfair(built, vip), 10, f"fair shares of {vip}")  # type: ignore[misc]
    return built


def _unfair(site: Site, vip: str) -> str:
    counts = site.buckets(vip)
    least, most = min(counts[node.name] for node in site.nodes), max(counts.values())
    return "" if most - least <= 1 else str(counts)


def _withdraw(site: Site, node: Node) -> None:
    node.withdraw(*ALL)


def _notify(_: Site, node: Node) -> None:
    node.notify(6, 2)  # Cease, administrative shutdown


def _die(site: Site, node: Node) -> None:
    site.silence(node)


@pytest.mark.parametrize("leave", [_withdraw, _notify, _die], ids=["withdraw", "notification", "silent-death"])
def test_the_others_connections_survive_a_leave_and_a_join(
    site: Site, client: flows.Flows, leave: Callable[[Site, Node], None]
) -> None:
    leaver, *stayers = reversed(site.nodes)
    before = {family: client.open(family, vip) for family, vip in VIPS.items()}
    for report in before.values():
        assert not report.broken
        assert all(report.alive[node.name] > 50 for node in site.nodes), report

    leave(site, leaver)
    for vip in VIPS.values():
        site.wait_for(vip, stayers)
    for family in VIPS:
        after = client.settle(family)
        print(f"left: {family}: {after}")
        assert after.broken.keys() <= {leaver.name}, after
        assert {name: after.alive[name] for name in after.alive} == {
            node.name: before[family].alive[node.name] for node in stayers
        }

    leaver.close()
    site.revive(leaver)
    leaver.up(*ALL)
    for vip in VIPS.values():
        site.wait_for(vip, site.nodes)
    for family in VIPS:
        joined = client.settle(family)
        print(f"joined: {family}: {joined}")
        assert joined.broken.keys() <= {leaver.name}, joined

    # The newcomer gets its share as buckets fall idle: those of the survivors' connections do not, and stay.
    for family, vip in VIPS.items():
        until(lambda vip=vip: _unfair(site, vip), 10, f"fair shares of {vip}")  # type: ignore[misc]
        fresh = client.open(f"{family} new", vip)
        print(f"fresh: {family}: {fresh}")
        assert not fresh.broken
        assert fresh.alive[leaver.name] > 50, fresh
        survived = client.settle(family)
        assert survived.broken.keys() <= {leaver.name}, survived
        assert not client.close(f"{family} new").broken
    for family in VIPS:
        client.close(family)


def test_one_vip_of_two_changes_its_members(site: Site, client: flows.Flows) -> None:
    """externalTrafficPolicy: Local. The other VIP's group, and its flows, must not notice; nor may the flows of
    this VIP on the nodes that stay. Neither changes its group."""
    leaver, *stayers = reversed(site.nodes)
    groups = site.group(VIP4), site.group(OTHER_VIP)
    client.open("whole", VIP4)
    before = client.open("changing", OTHER_VIP)

    leaver.withdraw(OTHER_VIP)
    site.wait_for(OTHER_VIP, stayers)
    assert site.next_hops(VIP4) == {node.name for node in site.nodes}
    whole, changing = client.settle("whole"), client.settle("changing")
    print(f"withdrawn: {whole}; {changing}")
    assert not whole.broken, whole
    assert changing.alive == {node.name: before.alive[node.name] for node in stayers}, changing

    leaver.announce(OTHER_VIP)
    site.wait_for(OTHER_VIP, site.nodes)
    whole, changing = client.settle("whole"), client.settle("changing")
    print(f"announced: {whole}; {changing}")
    assert not whole.broken, whole
    assert changing.broken.keys() <= {leaver.name}, changing
    until(lambda: _unfair(site, OTHER_VIP), 10, f"fair shares of {OTHER_VIP}")
    changing = client.settle("changing")
    assert changing.broken.keys() <= {leaver.name}, changing

    client.close("changing")
    assert (site.group(VIP4), site.group(OTHER_VIP)) == groups
    whole = client.settle("whole")
    assert not whole.broken, whole
    client.close("whole")


@pytest.mark.parametrize(
    ("then", "count"), [("announce", 3), ("announce", 200), ("drain another", 200), ("withdraw another", 200)]
)
def test_changes_come_quicker_than_flows_show_themselves(
    site: Site, client: flows.Flows, then: str, count: int
) -> None:
    """A VIP parts from the group that it shares, and changes again before its flows have sent another packet: in the
    kernel's eyes the buckets of its new group are unused, and free to move."""
    another, leaver, steady = site.nodes
    before = client.open("changing", OTHER_VIP, count, pause=(0.9, 1.0))
    leaver.withdraw(OTHER_VIP)
    site.wait_for(OTHER_VIP, [another, steady])
    if then == "announce":
        leaver.announce(OTHER_VIP)
        site.wait_for(OTHER_VIP, site.nodes)
    elif then == "drain another":
        site.cli("drain", another.ipv4)
    else:
        another.withdraw(OTHER_VIP)
        site.wait_for(OTHER_VIP, [steady])
    after = client.settle("changing")
    print(f"{before} -> {after}")
    site.cli("undrain", another.ipv4)
    assert after.alive.get(steady.name) == before.alive.get(steady.name), after
    if then != "withdraw another":
        assert after.broken.keys() <= {leaver.name}, after


@pytest.mark.parametrize("count", [0, 5])
def test_a_vip_follows_another_one_that_has_parted_before(site: Site, client: flows.Flows, count: int) -> None:
    """The first one's group was made like the one that they shared, as it was then. Since then flows have begun in
    buckets that were idle, and must find the same member there."""
    leaver, *stayers = reversed(site.nodes)
    client.open("whole", VIP4, count)
    until(
        lambda: str(site.buckets(VIP4, IDLE)) if site.buckets(VIP4, IDLE).total() > count else "", 10, "idle buckets"
    )
    leaver.withdraw(OTHER_VIP)
    site.wait_for(OTHER_VIP, stayers)
    before = client.open("following", THIRD_VIP)
    leaver.withdraw(THIRD_VIP)
    site.wait_for(THIRD_VIP, stayers)
    after = client.settle("following")
    print(f"{before} -> {after}, groups {site.group(OTHER_VIP)} and {site.group(THIRD_VIP)}")
    assert after.broken.keys() <= {leaver.name}, after
    assert not client.settle("whole").broken


@pytest.mark.parametrize("vip", VIPS.values(), ids=VIPS.keys())
@pytest.mark.parametrize("leave", [_withdraw, _notify], ids=["withdraw", "notification"])
def test_a_node_joins_another_one_that_was_alone(
    site: Site, client: flows.Flows, vip: str, leave: Callable[[Site, Node], None]
) -> None:
    """The kernel sends IPv4 flows past the buckets of a group that has one leg, so that none looks used."""
    alone, *others = site.nodes
    for node in others:
        leave(site, node)
    site.wait_for(vip, [alone])
    before = client.open("alone", vip)
    assert before.alive == {alone.name: 300}
    time.sleep(2 * IDLE)  # longer than it takes until the kernel thinks that a bucket is idle
    if others[0].connected:
        others[0].announce(vip)
    else:
        others[0].up(*ALL)
    site.wait_for(vip, [alone, others[0]])
    after = client.settle("alone")
    print(after)
    assert not after.broken, after
    until(lambda: "" if site.buckets(vip)[others[0].name] > 50 else str(site.buckets(vip)), 10, "a share")
    fresh = client.open("fresh", vip)
    assert fresh.alive[others[0].name] > 10, fresh
    assert not client.settle("alone").broken
    for label in ("alone", "fresh"):
        client.close(label)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_node_that_stays_keeps_its_flows_whatever_the_others_do(site: Site, client: flows.Flows, seed: int) -> None:
    """VIPs are withdrawn and announced, sessions end, nodes fall silent and are drained, all at random."""
    steady, *others = site.nodes
    vips = (VIP4, VIP6, OTHER_VIP)
    for vip in vips:
        assert not client.open(vip, vip, 100).broken
    dice = random.Random(seed)
    silent: set[Node] = set()
    deeds = []
    for _ in range(30):
        node, vip, deed = dice.choice(others), dice.choice(vips), dice.choice(DEEDS)
        if node in silent:
            deed = "revive"
            site.revive(node)
            silent.discard(node)
        elif not node.connected:
            deed = "dial"
            node.up(*ALL)
        elif deed == "silence":
            site.silence(node)
            silent.add(node)
        elif deed == "close":
            node.close()
        elif deed in ("drain", "undrain"):
            site.cli(deed, node.ipv4)
        elif deed == "withdraw":
            node.withdraw(vip)
        else:
            node.announce(vip)
        deeds.append(f"{deed} {node}")
        time.sleep(dice.uniform(0, 0.3))
    print(", ".join(deeds))
    for node in others:
        site.revive(node)
        site.cli("undrain", node.ipv4)
    for vip in vips:
        report = client.settle(vip)
        print(f"{vip}: {report}")
        assert steady.name not in report.broken, report
        client.close(vip)
