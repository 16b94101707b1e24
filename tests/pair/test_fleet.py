"""A node that has flows is drained on both routers by one command, over the broker that they share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from routerd.lab.topology import Router
from routerd.lab.waiting import until
from tests.daemon.harness import CLI
from tests.failover import flows
from tests.pair.broker import URL, broker, by_broker
from tests.pair.site import IDLE, VIPS, PairSite, pair
from tests.support.mosquitto import needs_mosquitto
from tests.support.netns import needs_root

pytestmark = [needs_root, needs_mosquitto]

FLOWS = 90
VIP = VIPS["ipv4"]


def with_fleet(router: Router, partner: Router, directory: Path) -> str:
    return by_broker(router, partner, directory) + f'fleet_key_file = "{directory / "key"}"\n'


def fleet(site: PairSite, *words: str) -> tuple[int, dict[str, Any]]:
    """Run `routerd fleet WORDS` beside the broker; return its exit code and answer."""
    place = ("--broker", URL, "--site", "pair", "--fleet-key-file", str(site.directory / "key"), "--json")
    done = site.fabric.switch.attempt(*CLI, "fleet", *words, *place)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_node_is_drained_on_both_and_is_empty_once_its_flows_have_ended() -> None:
    with pair(with_fleet, 3) as site, broker(site), flows.client(site.fabric.client) as client:
        site.start()
        site.up(site.numbers, VIP)
        site.wait_for(VIP, site.numbers)
        until(lambda: site.uneven(VIP), 10, "fair shares")
        site.wait_equal(VIP)
        opened = client.open("flows", VIP, FLOWS)
        node = site.name(0)
        assert opened.alive[node] > 10
        address = site.a.nodes[0].ipv4
        code, answer = fleet(site, "drain", address, "--timeout", "2")
        assert code == 1
        assert answer["verdict"] == "it still carries flows after 2 s"
        assert [each["state"] for each in answer["routers"]] == ["drained", "drained"]
        assert client.settle("flows").alive == opened.alive
        client.close("flows")
        code, answer = fleet(site, "drain", address, "--timeout", str(30 * IDLE))
        assert (code, answer["verdict"]) == (0, "is empty everywhere: it can be shut down")
        assert [each["empty"] for each in answer["routers"]] == [True, True]
        assert not any(node in router.layout(VIP).values() for router in site.both)
        assert node not in client.open("new", VIP, FLOWS).alive
