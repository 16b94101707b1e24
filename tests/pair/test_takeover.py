"""The router that carries the flows dies, and the other one leads each of them to the node that serves it."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator

import pytest

from routerd.lab.waiting import until
from tests.failover import flows
from tests.failover.cluster import Site
from tests.pair.site import ADDRESSES, SECOND, VIPS, PairSite, pair, paired

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

FLOWS = 300
STORIES = [int(seed) for seed in os.environ.get("PAIR_SEEDS", "1").split(",")]
"""More of them, with PAIR_SEEDS=1,2,3, are more ways to go wrong."""
DEEDS = ("withdraw", "withdraw", "announce", "announce", "partly", "close", "close", "drain", "undrain", "restart")


@pytest.fixture(scope="module")
def built() -> Iterator[PairSite]:
    with pair(paired) as site:
        yield site


@pytest.fixture
def site(built: PairSite) -> PairSite:
    """Two routers that have booted, and have agreed."""
    built.start()
    built.up(built.numbers, *ADDRESSES)
    for vip in ADDRESSES:
        built.wait_for(vip, built.numbers)
    until(lambda: built.uneven(*ADDRESSES), 10, "fair shares")
    built.wait_equal(*ADDRESSES)
    return built


def _open(client: flows.Flows, label: str, count: int = FLOWS, *, second: bool = False) -> None:
    """Open connections to the VIPs of both families."""
    for family, vip in VIPS.items():
        opened = client.open(f"{label} {family}", vip, count, source=SECOND[family] if second else None)
        assert not opened.broken, opened


def _alive(client: flows.Flows, label: str) -> dict[str, dict[str, int]]:
    """Return how many connections of a label live on each node, by family."""
    return {family: client.settle(f"{label} {family}").alive for family in VIPS}


def _fail_over(site: PairSite, client: flows.Flows, dying: Site, *labels: str) -> None:
    """A router dies, and the other one carries on: no flow that lived may break."""
    before = {label: _alive(client, label) for label in labels}
    site.kill(dying)
    site.unsplit()
    site.carry(site.b if dying is site.a else site.a)
    after = {label: _alive(client, label) for label in labels}
    assert after == before, {
        f"{label} {family}": client.report(f"{label} {family}") for label in labels for family in VIPS
    }


def test_the_router_that_carries_the_flows_dies_and_comes_back_empty(site: PairSite, client: flows.Flows) -> None:
    _open(client, "old")
    _fail_over(site, client, site.a, "old")
    _open(client, "meanwhile")
    site.reboot(site.a)
    for node in site.a.nodes:
        node.up(*ADDRESSES)
    for vip in ADDRESSES:
        site.wait_for(vip, site.numbers)
    took = site.wait_equal(*ADDRESSES)
    print(f"agreed {took:.1f} s after the groups were there")
    _fail_over(site, client, site.b, "old", "meanwhile")


def test_a_node_joins_and_another_one_leaves_before(site: PairSite, client: flows.Flows) -> None:
    """With flows on one router only, the kernels alone would move different buckets."""
    *stay, last = site.numbers
    site.close(last)
    for vip in ADDRESSES:
        site.wait_for(vip, stay)
    _open(client, "old")
    site.up([last], *ADDRESSES)
    for vip in ADDRESSES:
        site.wait_for(vip, site.numbers)
    _open(client, "joined")
    site.close(stay[-1])
    for vip in ADDRESSES:
        site.wait_for(vip, [*stay[:-1], last])
    took = site.wait_equal(*ADDRESSES)
    print(f"agreed after {took:.1f} s")
    _open(client, "left")
    _fail_over(site, client, site.a, "old", "joined", "left")


@pytest.mark.parametrize("carrier", [0, 1])
def test_flows_that_say_nothing_while_their_node_is_away_find_it_again(
    site: PairSite, client: flows.Flows, carrier: int
) -> None:
    """Both have lost it, and the kernels have given its buckets to others: it has the very same ones again."""
    site.carry(site.both[carrier])
    *stay, last = site.numbers
    before = {vip: client.open(vip, vip, FLOWS, pause=(6.0, 7.0)).alive for vip in VIPS.values()}
    site.close(last)
    for vip in ADDRESSES:
        site.wait_for(vip, stay)
    site.up([last], *ADDRESSES)
    for vip in ADDRESSES:
        site.wait_for(vip, site.numbers)
    until(lambda: site.uneven(*ADDRESSES), 10, "fair shares")
    site.wait_equal(*ADDRESSES)
    assert {vip: client.settle(vip).alive for vip in VIPS.values()} == before


def test_both_carry_flows_a_node_joins_and_a_router_dies(site: PairSite, client: flows.Flows) -> None:
    *stay, last = site.numbers
    site.close(last)
    for vip in ADDRESSES:
        site.wait_for(vip, stay)
    site.split()
    _open(client, "a", FLOWS // 2)
    _open(client, "b", FLOWS // 2, second=True)
    site.up([last], *ADDRESSES)
    for vip in ADDRESSES:
        site.wait_for(vip, site.numbers)
    site.wait_equal(*ADDRESSES)
    until(lambda: _without_share(site, last), 10, "the node that joined has buckets on both")
    site.wait_equal(*ADDRESSES)
    _open(client, "joined a", FLOWS // 2)
    _open(client, "joined b", FLOWS // 2, second=True)
    _fail_over(site, client, site.b, "a", "b", "joined a", "joined b")


def _without_share(site: PairSite, number: int) -> str:
    return ", ".join(vip for vip in ADDRESSES for each in site.both if each.buckets(vip)[site.name(number)] < 50)


@pytest.mark.parametrize("seed", STORIES)
def test_whatever_happened_before(site: PairSite, client: flows.Flows, seed: int) -> None:
    """Nodes come and go, VIPs are withdrawn, nodes are drained, routerd restarts on either side, all at random; then
    the router dies that carries the flows."""
    steady, *others = site.numbers
    _open(client, "old", 150)
    dice = random.Random(seed)
    said = {number: set(ADDRESSES) for number in site.numbers}
    away: set[int] = set()
    deeds = []
    for _ in range(20):
        number, deed = dice.choice(others), dice.choice(DEEDS)
        if number in away and deed != "restart":
            deed = "dial"
            said[number] = set(ADDRESSES)
            away.discard(number)
            site.up([number], *ADDRESSES)
        elif deed == "close":
            away.add(number)
            site.close(number)
        elif deed == "restart":
            _restart(site, dice.choice(site.both), said, away)
        elif deed in ("drain", "undrain"):
            for each in site.both:
                each.cli(deed, each.nodes[number].ipv4)
        else:
            vips = ADDRESSES if deed == "withdraw" else dice.sample(ADDRESSES, 2)
            (site.announce if deed == "announce" else site.withdraw)(number, *vips)
            said[number] = said[number] | set(vips) if deed == "announce" else said[number] - set(vips)
        deeds.append(f"{deed} {number}")
        time.sleep(dice.uniform(0, 0.3))
    print(", ".join(deeds))
    for number in others:
        for each in site.both:
            each.cli("undrain", each.nodes[number].ipv4, check=False)
    site.up([number for number in others if number in away], *ADDRESSES)
    for number in others:
        site.announce(number, *ADDRESSES)
    for vip in ADDRESSES:
        site.wait_for(vip, site.numbers)
    assert {name for family in VIPS for name in client.settle(f"old {family}").broken} <= set(map(site.name, others))
    took = site.wait_equal(*ADDRESSES)
    print(f"agreed after {took:.1f} s")
    _open(client, "new")
    assert _alive(client, "new")["ipv4"][site.name(steady)] > 20
    _fail_over(site, client, site.a, "old", "new")


def _restart(site: PairSite, each: Site, said: dict[int, set[str]], away: set[int]) -> None:
    """Stop a daemon and start it; the nodes dial in anew."""
    each.daemon.stop()
    each.start_daemon()
    for number in site.numbers:
        if number not in away:
            each.nodes[number].up(*sorted(said[number]))
