"""Kernels before 6.12 have weights of 8 bits, which cannot say that a drained node wants no bucket."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from routerd.lab import daemon
from routerd.lab.waiting import until
from tests.failover import flows
from tests.failover.cluster import VIP4, Site, cluster, configuration

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

IDLE = 1.0
_NARROW = """
from routerd.__main__ import main
from routerd.kernel.writer import KernelWriter
KernelWriter._probe = lambda self: (True, False)
main()
"""


@pytest.fixture(scope="module")
def built() -> Iterator[Site]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(daemon, "_ROUTERD", (sys.executable, "-c", _NARROW))
        with cluster(configuration(fib=f"idle_timer = {IDLE}"), 3) as site:
            site.start()
            yield site


def _shares(site: Site) -> list[int]:
    counts = site.buckets(VIP4)
    return [counts[node.name] for node in site.nodes]


def test_a_drain_ends_and_breaks_nothing(built: Site, client: flows.Flows) -> None:
    site = built
    *others, drained = site.nodes
    for node in site.nodes:
        node.up(VIP4)
    site.wait_for(VIP4, site.nodes)
    until(lambda: "" if min(_shares(site)) > 300 else str(_shares(site)), 10, "fair shares")
    lasting = client.open("lasting", VIP4, 300)
    assert lasting.alive[drained.name] > 50
    with site.spawn("drain", drained.ipv4, "--wait", "--timeout", "60") as waiting:
        until(lambda: "" if _shares(site)[2] < 150 else str(_shares(site)), 20, "idle buckets leave the drained node")
        after = client.settle("lasting")
        assert not after.broken, after
        assert site.next_hops(VIP4) == {node.name for node in site.nodes}
        assert waiting.poll() is None
        (weights,) = ([m["weight"] for m in group["members"]] for group in site.status()["groups"])
        assert sorted(weights) == [1, 256, 256]
        client.close("lasting")
        answer, complaint = waiting.communicate(timeout=65)
        assert waiting.returncode == 0, answer + complaint
    site.wait_for(VIP4, others)
    fresh = client.open("new", VIP4)
    assert not fresh.broken, fresh
    assert drained.name not in fresh.alive

    site.cli("undrain", drained.ipv4)
    site.wait_for(VIP4, site.nodes)
    until(lambda: "" if _shares(site)[2] > 50 else str(_shares(site)), 10, "a share")
    report = client.settle("new")
    assert not report.broken, report
    client.close("new")
