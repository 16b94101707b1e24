"""Others delete routerd's objects again and again, while groups are not balanced: flows stay with their nodes."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator

import pytest

from tests.failover import flows
from tests.failover.cluster import VIP4, VIP6, Site, cluster, configuration

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

VIPS = {"ipv4": VIP4, "ipv6": VIP6}
ROUNDS = 8


@pytest.fixture
def built() -> Iterator[Site]:
    """The groups wait for their idle timer as long as the test lasts."""
    with cluster(configuration(fib="idle_timer = 120"), 3) as site:
        site.start()
        yield site


def _flush(site: Site, _: str) -> None:
    # It deletes one object after the other. Whoever speaks in between meets another node, before routerd can know.
    site.router.attempt("nice", "-n", "-20", "ip", "nexthop", "flush")


def _group(site: Site, vip: str) -> None:
    site.router.attempt("ip", "nexthop", "del", "id", str(site.group(vip)))


@pytest.mark.parametrize("damage", [_flush, _group], ids=["flush", "group"])
@pytest.mark.parametrize("family", VIPS)
def test_flows_outlive_it(built: Site, client: flows.Flows, family: str, damage: Callable[[Site, str], None]) -> None:
    """One node was alone with its flows; then others have joined, and it is drained."""
    site, vip = built, VIPS[family]
    first, *others = site.nodes
    first.up(vip)
    site.wait_for(vip, [first])
    client.open("flows", vip, 100)
    client.settle("flows")
    for node in others:
        node.up(vip)
    site.wait_for(vip, site.nodes)
    site.cli("drain", first.ipv4)
    before = client.open("later", vip, 100)
    chance = random.Random(1)
    for _ in range(ROUNDS):
        damage(site, vip)
        time.sleep(chance.uniform(0.0, 0.2))
    site.wait_for(vip, site.nodes)
    for label in ("flows", "later"):
        after = client.settle(label)
        print(f"{label}: {before} -> {after}")
        assert not after.broken, after
