"""Routers that run without a partner, with flows, become a pair one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from routerd.lab.topology import PAIR
from routerd.lab.waiting import until
from tests.failover import flows
from tests.failover.cluster import Site
from tests.pair.site import ADDRESSES, SEEDS, VIPS, PairSite, pair, paired, unpaired

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

FLOWS = 300


@pytest.fixture(scope="module")
def built() -> Iterator[PairSite]:
    with pair(unpaired, 3) as site:
        yield site


def test_flows_outlive_it(built: PairSite, client: flows.Flows) -> None:
    """The seed is the one that the routers have, for another one would move each flow once."""
    site = built
    *stay, last = site.numbers
    site.start()
    site.same_seed()
    site.up(stay, *ADDRESSES)
    for vip in ADDRESSES:
        site.wait_for(vip, stay)
    for family, vip in VIPS.items():
        assert not client.open(family, vip, FLOWS).broken
    site.up([last], *ADDRESSES)
    for vip in ADDRESSES:
        site.wait_for(vip, site.numbers)
        until(lambda vip=vip: "" if site.b.buckets(vip)[site.name(last)] > 50 else "none", 10, "a share at B")
    assert site.unequal(*VIPS.values())
    for each in (site.b, site.a):
        _becomes_paired(site, each)
        reports = {family: client.settle(family) for family in VIPS}
        assert not any(report.broken for report in reports.values()), reports
    site.wait_equal(*ADDRESSES, seconds=20)
    site.kill(site.a)
    site.carry(site.b)
    reports = {family: client.settle(family) for family in VIPS}
    assert not any(report.broken for report in reports.values()), reports


def _becomes_paired(site: PairSite, each: Site) -> None:
    own, other = PAIR if each is site.a else reversed(PAIR)
    each.daemon.stop()
    each.daemon.configure(paired(own, other, site.directory, f"hash_seed = {SEEDS[0]}"))
    each.start_daemon()
    for node in each.nodes:
        node.up(*ADDRESSES)
    for vip in ADDRESSES:
        each.wait_for(vip, each.nodes)
