"""Somebody deletes all of routerd's nexthop objects beside a large table: addresses are right long before it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from routerd.core.route import Prefix, parse_prefix
from routerd.kernel import lookup
from routerd.lab.waiting import until
from tests.failover.cluster import VIP4, VIP6, Site, cluster, configuration, inside, prefixes

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

TABLE = prefixes(60_000)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with cluster(configuration(), 3) as site:
        site.start()
        # Before the table: what comes later, from all nodes at once, may share its group.
        for node in site.nodes:
            node.up(VIP4, VIP6)
        for vip in (VIP4, VIP6):
            site.wait_for(vip, site.nodes)
        for node in site.nodes:
            node.announce(*TABLE)
        yield site


def test_addresses_are_back_first(site: Site) -> None:
    until(lambda: "" if site.status()["fib"]["routes"] == len(TABLE) + 2 else "not yet", 60, "the table")
    for vip in (VIP4, VIP6):
        site.wait_for(vip, site.nodes)
    site.wait_for(TABLE[-1], site.nodes)
    # What the flush deletes of that which is mended already comes after the table: the least of several.
    shares = [_share(site) for _ in range(3)]
    print([f"{share:.2f}" for share in shares])
    assert min(shares) < 0.5, "long before the table"


def _share(site: Site) -> float:
    """Flush, and return after which share of the time that the table takes the addresses were right."""
    site.router.attempt("ip", "nexthop", "flush")
    started = time.monotonic()
    table = parse_prefix(f"{TABLE[-1]}/32")
    waiting, right = [parse_prefix(f"{VIP4}/32"), parse_prefix(f"{VIP6}/128"), table], dict[Prefix, float]()
    with inside(site.router):
        while waiting:
            assert time.monotonic() < started + 20
            found = [prefix for prefix in waiting if _legs(prefix) == len(site.nodes)]
            right |= dict.fromkeys(found, time.monotonic() - started)
            waiting = [prefix for prefix in waiting if prefix not in found]
    return max(seconds for prefix, seconds in right.items() if prefix != table) / right[table]


def _legs(prefix: Prefix) -> int:
    try:
        found = lookup.route(prefix)
    except OSError:
        return 0  # it goes while one looks
    return len(found.legs) if found is not None else 0
