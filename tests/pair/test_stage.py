"""What the stage shows without routers that agree: how many flows break when the traffic moves.

If it showed none, the other tests here could not fail.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from routerd.lab.waiting import until
from tests.failover import flows
from tests.failover.cluster import Site
from tests.pair.site import ADDRESSES, IDLE, SECOND, SEED, VIPS, PairSite, pair, unpaired

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    pytest.mark.alone,  # nothing holds the two together: a node that is silent for a moment on one would do
]

FLOWS = 300


@pytest.fixture(scope="module")
def built() -> Iterator[PairSite]:
    with pair(unpaired, 3) as site:
        yield site


@pytest.fixture
def site(built: PairSite) -> PairSite:
    """Two routers that have just booted. Buckets are unused, so that both come to the same layout."""
    built.start()
    built.up(built.numbers, *ADDRESSES)
    for vip in ADDRESSES:
        built.wait_for(vip, built.numbers)
    until(lambda: built.uneven(*ADDRESSES), 10, "fair shares")
    return built


@pytest.mark.parametrize("same", [False, True], ids=["other-seeds", "same-seed"])
def test_the_traffic_moves(site: PairSite, client: flows.Flows, same: bool) -> None:
    if same:
        site.same_seed()
    assert not any(site.differing(vip) for vip in VIPS.values())
    for family, vip in VIPS.items():
        opened = client.open(family, vip, FLOWS)
        assert all(opened.alive[site.name(number)] > FLOWS // 6 for number in site.numbers), opened
    site.carry(site.b)
    broken = {family: sum(client.settle(family).broken.values()) for family in VIPS}
    print(broken)
    # Of three nodes another seed chooses two times in three another one.
    assert all(count == 0 if same else FLOWS / 2 < count < FLOWS * 5 / 6 for count in broken.values()), broken


def test_layouts_part_where_only_one_router_has_flows(site: PairSite, client: flows.Flows) -> None:
    """The kernel moves buckets that are idle: which ones, depends on whose flows they are."""
    site.same_seed()
    last, stay = site.numbers[-1], site.numbers[:-1]
    site.close(last)
    for vip in ADDRESSES:
        site.wait_for(vip, stay)
    for family, vip in VIPS.items():
        assert not client.open(family, vip, FLOWS).broken
    site.up([last], *ADDRESSES)
    for vip in VIPS.values():
        site.wait_for(vip, site.numbers)
        until(lambda vip=vip: "" if site.b.buckets(vip)[site.name(last)] > 30 else "none", 10, "a share at B")
        assert site.differing(vip)
    site.carry(site.b)
    broken = {family: sum(client.settle(family).broken.values()) for family in VIPS}
    print(broken)
    assert all(count > FLOWS / 6 for count in broken.values()), broken


def test_half_of_the_traffic_goes_by_way_of_each(site: PairSite, client: flows.Flows) -> None:
    def used(each: Site) -> int:
        return sum(len(each.layout(vip, idle=IDLE)) for vip in VIPS.values())

    site.split()
    until(lambda: f"{used(site.a)}, {used(site.b)}" if used(site.a) or used(site.b) else "", 10, "no bucket is used")
    for family, vip in VIPS.items():
        client.open(f"second {family}", vip, 50, source=SECOND[family])
    assert not used(site.a)
    assert used(site.b) > 50
    for family, vip in VIPS.items():
        client.open(f"first {family}", vip, 50)
    assert used(site.a) > 50
    reports = [client.settle(f"{which} {family}") for which in ("first", "second") for family in VIPS]
    assert not any(report.broken for report in reports), reports


def test_a_router_dies_and_boots_with_nothing(site: PairSite, client: flows.Flows) -> None:
    """Flows that begin while it is away find their nodes by way of the other one, at once."""
    site.kill(site.a)
    site.carry(site.b)
    assert not client.open("meanwhile", VIPS["ipv4"], 50).broken
    site.reboot(site.a)
    assert site.a.next_hops(VIPS["ipv4"]) == set()
    assert site.a.router.sysctl(SEED) != site.b.router.sysctl(SEED)
    for node in site.a.nodes:
        node.up(*ADDRESSES)
    site.wait_for(VIPS["ipv4"], site.numbers)
    assert not client.settle("meanwhile").broken
    site.carry(site.a)
    assert not client.open("then", VIPS["ipv4"], 50).broken
