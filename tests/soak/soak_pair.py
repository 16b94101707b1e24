"""Two routers, 500 VIPs that have their own nodes each, ten changes a second: a second after the last they agree.

What that costs is stated: octets between the routers, and processor time beside routers without a partner.
SOAK_SECONDS chooses how long VIPs change.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from benchmarks.processes import cpu, family

from routerd.kernel import lookup
from routerd.lab.topology import BETWEEN
from routerd.lab.waiting import until
from tests.failover import flows
from tests.failover.cluster import Site, inside
from tests.pair.broker import at_broker, broker, by_broker
from tests.pair.site import SEED, VIPS, PairSite, pair, paired, unpaired
from tests.support.mosquitto import needs_mosquitto
from tests.support.netns import needs_root

pytestmark = [needs_root, pytest.mark.timeout(1800)]

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
RATE = 10
MANY = [f"172.16.{2 + number // 250}.{1 + number % 250}" for number in range(500)]
FLOWS = 300
MOST = 0.03
"""Of a core, that a partner may cost on a machine that does other things besides; on a quiet one less than 2 %."""


@dataclass
class Cost:
    """Of one router, in seconds of processor time and octets that it sent to the other one, for each second."""

    cpu: float
    octets: float


@contextmanager
def _pair(channel: str, *, partners: bool) -> Iterator[PairSite]:
    """Run two routers, `partners` or not; over a broker both tell that how they are, in either case."""
    link = paired if partners else unpaired
    with ExitStack() as stack:
        site = stack.enter_context(pair(link if channel == "link" else by_broker if partners else at_broker))
        if channel == "mqtt":
            stack.enter_context(broker(site))
        yield site


def _alone(channel: str) -> Cost:
    """Return what the same changes cost a router without a partner."""
    with _pair(channel, partners=False) as site:
        site.start()
        site.same_seed()
        return _churn(site, _announced(site), random.Random(1))


@pytest.mark.parametrize("channel", ["link", pytest.param("mqtt", marks=needs_mosquitto)])
def test_they_agree_a_second_after_the_last_change(channel: str) -> None:
    alone = _alone(channel)
    with _pair(channel, partners=True) as site, flows.client(site.fabric.client) as client:
        site.start()
        said = _announced(site)
        until(lambda: _differing(site), 60, "both routers lead alike")
        assert not client.open("steady", VIPS["ipv4"], FLOWS).broken
        cost = _churn(site, said, random.Random(1))
        time.sleep(1.0)
        assert _differing(site) == ""
        print(
            f"{channel}: {cost.octets - alone.octets:.0f} octets a second, {100 * (cost.cpu - alone.cpu):.2f} % of a"
            f" core, more than the {alone.octets:.0f} and {100 * alone.cpu:.2f} % of a router without a partner"
        )
        before = client.settle("steady").alive
        site.kill(site.a)
        site.carry(site.b)
        assert client.settle("steady").alive == before
        assert cost.cpu - alone.cpu < MOST


def _announced(site: PairSite) -> dict[str, set[int]]:
    """Have each VIP announced by two of the nodes at least, and return by which."""
    dice = random.Random(500)
    said = {vip: set(dice.sample(site.numbers, dice.choice((2, 3)))) for vip in MANY}
    for number in site.numbers:
        site.up([number], VIPS["ipv4"], *(vip for vip, numbers in said.items() if number in numbers))
    for vip, numbers in said.items():
        site.wait_for(vip, numbers)
    return said


def _churn(site: PairSite, said: dict[str, set[int]], dice: random.Random) -> Cost:
    """Change VIPs for a while; return what it cost router A."""
    with _measured(site.a) as cost:
        begun = time.monotonic()
        for count in range(int(SECONDS * RATE)):
            vip, number = dice.choice(MANY), dice.choice(site.numbers)
            if number not in said[vip]:
                site.announce(number, vip)
                said[vip].add(number)
            elif len(said[vip]) > 2:
                site.withdraw(number, vip)
                said[vip].discard(number)
            time.sleep(max(0.0, begun + count / RATE - time.monotonic()))
    return cost


@contextmanager
def _measured(site: Site) -> Iterator[Cost]:
    pids = family([site.daemon.process.pid])
    begun, used, sent, cost = time.monotonic(), cpu(pids), _sent(site), Cost(0, 0)
    yield cost
    took = time.monotonic() - begun
    cost.cpu, cost.octets = (cpu(pids) - used) / took, (_sent(site) - sent) / took


def _sent(site: Site) -> int:
    (link,) = json.loads(site.router.run("ip", "-s", "-json", "link", "show", BETWEEN.name))
    count: int = link["stats64"]["tx"]["bytes"]
    return count


def _differing(site: PairSite) -> str:
    """Return how many of the groups do not lead alike, empty if all do."""
    if len({each.router.sysctl(SEED) for each in site.both}) > 1:
        return "the seeds differ"
    here, there = (_layouts(each) for each in site.both)
    wrong = [vip for vip in here.keys() | there.keys() if here.get(vip) != there.get(vip)]
    return f"{len(wrong)} of {len(here)}: {sorted(wrong)[:3]}" if wrong else ""


def _layouts(site: Site) -> dict[str, tuple[str, ...]]:
    """Return the gateway of each bucket, by prefix."""
    gateways = {entry["id"]: entry.get("gateway", "") for entry in site.nexthops()}
    routes = json.loads(site.router.run("ip", "-json", "route", "show", "proto", "bgp"))
    with inside(site.router):
        groups = {id: lookup.buckets(id) for id in {route["nhid"] for route in routes}}
    return {route["dst"]: tuple(gateways.get(owner, "") for _, owner, _ in groups[route["nhid"]]) for route in routes}
