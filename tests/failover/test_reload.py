"""Established connections notice nothing of a reload, whatever it changes but for what says so."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from routerd.config.model import Config
from routerd.lab.waiting import until
from tests.daemon.test_reload import RESTART, VALUES, marked, written
from tests.failover import flows
from tests.failover.cluster import VIP4, VIP6, Site, cluster, configuration
from tests.support import bgp

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

MOVES_FLOWS = {"fib.hash_policy", "fib.groups"}
"""What documents say about these keys: flows break (test_forecast.py)."""
FITTING = VALUES | {
    "router.listen": '["192.168.10.200", "::"]',
    "drain.state_file": '"/run/routerd/drains.json"',
    "mrt.directory": '"/run/routerd/mrt"',
}
"""Values that fit this network."""
BOTH_SIDES = {
    "peer_groups.nodes.password": {"password": "secret"},
    "peer_groups.nodes.ttl_security": {"ttl": 255},
    "peer_groups.nodes.families": {"families": (bgp.IPV4,)},
}
"""What the nodes have to do otherwise, too."""
BROKERS = {key for key in VALUES if key.startswith("mqtt.") and key != "mqtt.broker"}
"""Of no use without a broker: tests/daemon/test_mqtt.py has one."""
PAIRS = {key for key in VALUES if key.startswith("pair.")}
"""Of no use without a partner."""
LIVE = sorted(VALUES.keys() - marked() - MOVES_FLOWS - BROKERS - PAIRS)
RESET = sorted(marked() - BOTH_SIDES.keys())
SPEAKERS: list[dict[str, Any]] = [
    {},
    {"graceful": bgp.Graceful(time=15, families={bgp.IPV4: True, bgp.IPV6: True})},
    {"graceful": bgp.Graceful(notification=True, time=15, families={bgp.IPV4: True, bgp.IPV6: True})},
]
"""Graceful restart as the three nodes know it: not at all, RFC 4724, and RFC 8538."""
RANGE = '[[dynamic_peers]]\nrange = "192.168.10.0/24"\ngroup = "nodes"\n'
NAMED = '[[peers]]\nname = "w"\naddress = "192.168.10.101"\ngroup = "nodes"\n'
PEERS = {
    "dynamic_peers.limit": RANGE + "limit = 1\n",
    "dynamic_peers.expected": RANGE + "expected = 9\n",
    "dynamic_peers.range": RANGE.replace(".0/24", ".64/26"),
    "dynamic_peers.group": RANGE.replace('"nodes"', '"same"'),
    "peers.address": RANGE + NAMED,
    "peers.name": RANGE + NAMED.replace('"w"', '"other"'),
    "peers.group": RANGE + NAMED.replace('"nodes"', '"same"'),
    "peers.addresses": RANGE + NAMED + 'addresses = ["192.168.10.150"]\n',
    "peers.connect": RANGE + NAMED + "connect = true\n",
    "peers.port": RANGE + NAMED + "connect = true\nport = 1790\n",
    "peers.local_address": RANGE + NAMED + 'connect = true\nlocal_address = "192.168.10.200"\n',
}
"""What stands in the place of the range, for each key of these sections."""
COLLECTOR = RANGE + '[[bmp]]\nname = "lab"\naddress = "192.168.10.9"\n'
PEERS |= {
    "bmp.name": COLLECTOR.replace('"lab"', '"other"'),
    "bmp.address": COLLECTOR.replace("10.9", "10.100"),
    "bmp.port": COLLECTOR + "port = 5000\n",
    "bmp.views": COLLECTOR + 'views = ["loc-rib"]\n',
    "bmp.statistics": COLLECTOR + "statistics = 1\n",
    "bmp.buffer": COLLECTOR + "buffer = 1048576\n",
    "bmp.min_retry": COLLECTOR + "min_retry = 0.1\n",
    "bmp.max_retry": COLLECTOR + "max_retry = 60.0\n",
}
INCLUDE = "include"


@pytest.fixture(scope="module")
def built() -> Iterator[Site]:
    with cluster(configuration(fib="idle_timer = 1.5"), 3) as site:
        site.start()
        yield site


@pytest.fixture
def opened(built: Site, client: flows.Flows) -> Iterator[Site]:
    """300 connections through three nodes."""
    _all_up(built)
    built.wait_for(VIP4, built.nodes)
    until(lambda: _unbalanced(built), 10, "each has its share")
    client.open("all", VIP4)
    good = built.daemon.config.read_text()
    yield built
    client.close("all")
    built.daemon.config.write_text(good)
    built.cli("reload")


def _reload(site: Site, *keys: str) -> None:
    text = site.daemon.config.read_text()
    for key in keys:
        text = written(text, key, FITTING[key])
    site.daemon.config.write_text(text)
    site.cli("reload")


def _all_up(site: Site, *vips: str, **options: Any) -> None:
    for node, speaker in zip(site.nodes, SPEAKERS, strict=True):
        node.up(VIP4, *vips, **speaker | options)


def _unbalanced(site: Site) -> str:
    return "" if all(group["balanced"] for group in site.status()["groups"]) else "not yet"


def _sections(model: type[BaseModel]) -> Iterator[str]:
    """Yield every key that a file may have, peers and groups as in `PEERS` and `VALUES`."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        for each in get_args(inner):
            inner = each if isinstance(each, type) and issubclass(each, BaseModel) else inner
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            yield name
        else:
            yield from (f"{name}.{'nodes.' * (name == 'peer_groups')}{key}" for key in inner.model_fields)


def test_every_key_is_tried() -> None:
    """A new key belongs into one of these, with another value of it; in `VALUES` if it needs nothing else."""
    tried = [{*LIVE}, {*RESET}, {*BOTH_SIDES}, MOVES_FLOWS, {*RESTART}, {*PEERS}, {INCLUDE}, BROKERS, PAIRS]
    assert set(_sections(Config)) == set.union(*tried)
    assert sum(map(len, tried)) == len(set.union(*tried))


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
        (first, *others), (speaker, *speakers) = opened.nodes, SPEAKERS
        first.up(VIP4, **speaker)
        _reload(opened, "fib.max_paths", "peer_groups.nodes.accept")
        for node, speaker in zip(others, speakers, strict=True):
            node.up(VIP4, **speaker)
        assert not client.settle("all").broken, key
        opened.daemon.config.write_text(good)
        opened.cli("reload")
        _all_up(opened)
        assert not client.settle("all").broken, key
    assert opened.next_hops(VIP4) == {node.name for node in opened.nodes}


def test_keys_that_the_nodes_change_too_break_no_connection(opened: Site, client: flows.Flows) -> None:
    """Password and TTL; and a family less costs the connections of that one family, as `diff` says beforehand."""
    good = opened.daemon.config.read_text()
    for key, options in BOTH_SIDES.items():
        for node in opened.nodes:
            node.announce(VIP6)
        opened.wait_for(VIP6, opened.nodes)
        until(lambda: _unbalanced(opened), 10, "each has its share of IPv6, too")
        assert not client.open("six", VIP6, 60).broken
        assert not client.settle("six").broken  # used within 30 ms of its making a group seems unused
        lost = key.endswith("families")
        text = written(good.replace(', "fd00:ac10::/32"', "") if lost else good, key, FITTING[key])
        opened.daemon.config.write_text(text)
        foreseen = json.loads(opened.cli("diff", "--json", check=False))["forecast"]
        assert [(each["fate"], each["count"]) for each in foreseen["routes"]] == ([("goes", 1)] if lost else []), key
        assert bool(foreseen["buckets"]["moving"]) == lost
        opened.cli("reload")
        _all_up(opened, *([] if lost else [VIP6]), **options)
        assert not client.settle("all").broken, key
        assert sum(client.settle("six").broken.values()) == (60 if lost else 0), key
        opened.daemon.config.write_text(good)
        opened.cli("reload")
        _all_up(opened)
        assert not client.settle("all").broken, key
        client.close("six")
    assert opened.next_hops(VIP4) == {node.name for node in opened.nodes}


def test_another_place_in_the_file_breaks_no_connection(opened: Site, client: flows.Flows) -> None:
    """A node gets a name and loses it, ranges change, and a part of the file comes from a directory."""
    good = opened.daemon.config.read_text()
    group = good[good.index("[peer_groups.nodes]") : good.index("[[dynamic_peers]]")]
    good += group.replace("nodes", "same", 1)
    directory = opened.daemon.config.parent / "conf.d"
    directory.mkdir()
    (directory / "nodes.toml").write_text(RANGE)
    texts = {key: good.replace(RANGE, part) for key, part in PEERS.items()}
    texts[INCLUDE] = 'include = "conf.d"\n' + good.replace(RANGE, "")
    for key, text in texts.items():
        assert text != good
        for each in (text, good):
            opened.daemon.config.write_text(each)
            answer = json.loads(opened.cli("reload", "--json"))
            assert answer["changes"], key
            assert answer["resets"] == [], key
        assert not client.report("all").broken, key
    assert not client.settle("all").broken
    assert {opened.peer(node)["state"] for node in opened.nodes} == {"established"}
    assert opened.next_hops(VIP4) == {node.name for node in opened.nodes}
