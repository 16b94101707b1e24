"""How many new flows still reach a node that is being drained, by the number of buckets: a table for the manual.

A bucket stays with the drained node for as long as packets keep coming within its idle time, and every new flow
that hashes to it does its part. So what counts is how many new flows a bucket gets in an idle time:
rate x idle_timer / buckets. Gaps of an idle time come, on average, after (e^x - 1) / x idle times.

    python -m tests.failover.drain_table
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from routerd.lab.waiting import until
from tests.failover import flows
from tests.failover.cluster import VIP4, Site, cluster, configuration


def config(buckets: int, idle: float) -> str:
    """Return a configuration for groups of so many buckets."""
    return configuration(fib=f"buckets = {buckets}\nidle_timer = {idle}")


def shares(site: Site, client: flows.Flows, rate: float, windows: Iterable[tuple[float, float]]) -> list[float]:
    """Drain the last node under a load of new flows; return its share of them in each window, which is
    (begin, end) in seconds after the drain began. The load goes on until the last."""
    drained = site.nodes[-1]
    client.load(VIP4, rate)
    time.sleep(1)  # the load is steady
    site.cli("drain", drained.ipv4)
    started = time.monotonic()
    found = []
    for begin, end in windows:
        time.sleep(max(0.0, started + begin - time.monotonic()))
        client.arrived()
        time.sleep(max(0.0, started + end - time.monotonic()))
        arrived = client.arrived()
        found.append(arrived.get(drained.name, 0) / sum(arrived.values()))
    client.load(VIP4, 0)
    return found


def prepare(site: Site, buckets: int, idle: float) -> None:
    """Start the daemon anew, with three nodes that announce the VIP and have their shares."""
    site.start(config(buckets, idle))
    for node in site.nodes:
        node.up(VIP4)
    site.wait_for(VIP4, site.nodes)

    def unfair() -> str:
        counts = site.buckets(VIP4)
        return "" if min(counts[node.name] for node in site.nodes) >= buckets // 3 else str(counts)

    until(unfair, 10, "fair shares")


def main() -> None:
    """Print the table."""
    rate, idle = 250.0, 2.0
    times = [(0, 1), (2, 4), (8, 10), (28, 30)]
    print(f"{rate:g} new flows/s on 3 nodes, idle_timer {idle:g} s; share of the drained node (33 % before)")
    print("| buckets | new flows per bucket and idle time | " + " | ".join(f"{a}-{b} s" for a, b in times) + " |")
    with cluster(config(1024, idle), 3) as site, flows.client(site.fabric.client) as client:
        for buckets in (128, 256, 512, 1024, 4096, 16384):
            prepare(site, buckets, idle)
            found = shares(site, client, rate, times)
            row = " | ".join(f"{share:.1%}" for share in found)
            print(f"| {buckets} | {rate * idle / buckets:.2f} | {row} |", flush=True)


if __name__ == "__main__":
    main()
