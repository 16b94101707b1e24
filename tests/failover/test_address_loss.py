"""The router's own address on a link goes away and comes back: what lies behind it is unreachable meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from routerd.kernel import wire
from routerd.lab.waiting import until
from tests.failover import flows
from tests.failover.cluster import VIP4, VIP6, Site, cluster, configuration

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

VIPS = {"ipv4": VIP4, "ipv6": VIP6}
AWAY = 1.0


@pytest.fixture(scope="module")
def built() -> Iterator[Site]:
    with cluster(configuration(fib="idle_timer = 4"), 3) as site:
        site.start()
        for node in site.nodes:
            node.up(VIP4, VIP6)
        yield site


def _balanced(site: Site) -> str:
    return "" if all(group["balanced"] for group in site.status()["groups"]) else "not yet"


@pytest.mark.parametrize("away", [0.0, AWAY], ids=["at once", "later"])
@pytest.mark.parametrize("family", VIPS)
def test_flows_outlive_it(built: Site, client: flows.Flows, family: str, away: float) -> None:
    """All gateways of the link fail as one, and their groups come back as they were."""
    site, vip = built, VIPS[family]
    site.wait_for(vip, site.nodes)
    until(lambda: _balanced(site), 20, "balance")
    before = client.open("flows", vip, 200)
    link = site.fabric.topology.nodes[0].network
    address = link.attachment("router", 200).addresses[family == "ipv6"]
    group = site.group(vip)
    with site.watching_nexthops() as watch:
        site.router.ip(f"address del {address} dev {link.name}")
        deleted = watch.deletion(group)
        time.sleep(away)
        site.router.ip(f"address add {address} dev {link.name} nodad")
        site.wait_for(vip, site.nodes)

        def changed() -> list[float]:
            return [at for at, kind, id_ in watch.seen if id_ == group and kind == wire.RTM_NEWNEXTHOP]

        until(lambda: "" if changed() else "not told of", 5, "the group is back")
    assert min(changed()) > deleted, "the group has lost its nodes one by one"
    after = client.settle("flows")
    assert not after.broken, after
    assert after.alive == before.alive
    until(lambda: _balanced(site), 20, "balance")
    assert not client.close("flows").broken
