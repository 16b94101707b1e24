"""Established connections notice nothing of a reload, whatever it changes but for what says so."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from tests.daemon.test_reload import VALUES, marked, written
from tests.failover import flows
from tests.failover.cluster import VIP4, Site, cluster, configuration

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

MOVES_FLOWS = {"fib.hash_policy", "fib.groups"}
"""What documents say about these keys: flows break."""
ELSEWHERE = {"router.listen", "router.port", "drain.state_file", "peer_groups.nodes.password"}
"""Values that do not fit this network, or that the nodes do not know of."""
ELSEWHERE |= {key for key in VALUES if key.startswith("mqtt.") and key != "mqtt.broker"}  # of no use without a broker
LIVE = sorted(VALUES.keys() - marked() - MOVES_FLOWS - ELSEWHERE)
RESET = sorted(marked() - ELSEWHERE - {"peer_groups.nodes.ttl_security", "peer_groups.nodes.families"})


@pytest.fixture(scope="module")
def built() -> Iterator[Site]:
    with cluster(configuration(fib="idle_timer = 1.5"), 3) as site:
        site.start()
        yield site


@pytest.fixture
def opened(built: Site, client: flows.Flows) -> Iterator[Site]:
    """300 connections through three nodes."""
    for node in built.nodes:
        node.up(VIP4)
    built.wait_for(VIP4, built.nodes)
    client.open("all", VIP4)
    yield built
    client.close("all")


def _reload(site: Site, *keys: str) -> None:
    text = site.daemon.config.read_text()
    for key in keys:
        text = written(text, key, VALUES[key])
    site.daemon.config.write_text(text)
    site.cli("reload")


def test_live_keys_break_no_connection(opened: Site, client: flows.Flows) -> None:
    """Each alone and back, and two at once."""
    good = opened.daemon.config.read_text()
    chance = random.Random(1)
    for keys in [[key] for key in LIVE] + [chance.sample(LIVE, 2) for _ in range(5)]:
        _reload(opened, *keys)
        opened.cli("rollback")
        _reload(opened, *keys)
        opened.daemon.config.write_text(good)
        opened.cli("reload")
        assert not client.report("all").broken, keys
    assert not client.settle("all").broken
    assert opened.next_hops(VIP4) == {node.name for node in opened.nodes}


def test_sessions_that_are_reset_break_no_connection(opened: Site, client: flows.Flows) -> None:
    """The nodes come back one after the other, and a second change meets those that are not back yet."""
    good = opened.daemon.config.read_text()
    for key in RESET:
        _reload(opened, key)
        first, *others = opened.nodes
        first.up(VIP4)
        _reload(opened, "fib.max_paths", "peer_groups.nodes.accept")
        for node in others:
            node.up(VIP4)
        assert not client.settle("all").broken, key
        opened.daemon.config.write_text(good)
        opened.cli("reload")
        for node in opened.nodes:
            node.up(VIP4)
        assert not client.settle("all").broken, key
    assert opened.next_hops(VIP4) == {node.name for node in opened.nodes}
