"""Somebody deletes all of routerd's nexthop objects beside a large table: addresses are right long before it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from routerd.lab.waiting import until
from tests.failover.cluster import VIP4, VIP6, Site, cluster, configuration, prefixes

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

TABLE = prefixes(60_000)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with cluster(configuration(), 3) as site:
        site.start()
        for node in site.nodes:
            node.up(*TABLE)
        site.wait_for(TABLE[-1], site.nodes, 60)
        for node in site.nodes:
            node.announce(VIP4, VIP6)
        yield site


def test_addresses_are_back_first(site: Site) -> None:
    until(lambda: "" if site.status()["fib"]["routes"] == len(TABLE) + 2 else "not yet", 60, "the table")
    for vip in (VIP4, VIP6):
        site.wait_for(vip, site.nodes)
    site.wait_for(TABLE[-1], site.nodes)
    site.router.attempt("ip", "nexthop", "flush")
    started = time.monotonic()
    for vip in (VIP4, VIP6):
        site.wait_for(vip, site.nodes)
    vips = time.monotonic() - started
    site.wait_for(TABLE[-1], site.nodes, 20)
    table = time.monotonic() - started
    print(f"the addresses {vips:.2f} s, the table {table:.2f} s")
    assert vips < 0.7
