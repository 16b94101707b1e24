"""What `diff` says of flows is what happens to them: buckets in use that move, and connections that break."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from routerd.kernel import lookup
from routerd.lab.waiting import until
from tests.daemon.test_reload import written
from tests.failover import flows
from tests.failover.cluster import VIP4, Site, cluster, configuration, inside

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
    # Where a node was silent for a moment, as on a busy machine, its buckets are at others: then many do move, as
    # `diff` says, and what these tests begin with is not there.
    pytest.mark.long,
]

IDLE = 2.0
"""Seconds in which each connection says something, many times."""
SECOND = "172.16.1.2"
CONFIG = configuration(fib=f"idle_timer = {IDLE}\nbuckets = 128")
SHARE = 128 // 3
Key = tuple[str, str]
NONE_MOVE: list[Key] = [
    ("peer_groups.nodes.accept", '["172.16.0.0/12", "10.0.0.0/8"]'),
    ("peer_groups.nodes.next_hop", '"any"'),
    ("peer_groups.nodes.advertise", '["learned"]'),
    ("peer_groups.nodes.stale_time", "300"),
    ("router.networks", '["10.10.9.0/24"]'),
    ("fib.max_paths", "3"),
    ("fib.multipath_relax", "false"),
    ("fib.buckets", "256"),
    ("fib.unbalanced_timer", "60.0"),
]


@pytest.fixture(scope="module")
def built() -> Iterator[Site]:
    with cluster(CONFIG, 3) as site:
        site.start()
        for node in site.nodes:
            node.up(VIP4, *((SECOND,) if node is not site.nodes[2] else ()))
        yield site


@pytest.fixture
def site(built: Site, client: flows.Flows) -> Iterator[Site]:
    """A hundred connections to an address through three nodes; another address has two of them."""
    good = built.daemon.config.read_text()
    built.wait_for(VIP4, built.nodes)
    for address, share in ((VIP4, SHARE), (SECOND, 128 // 2)):
        until(lambda: "" if min(built.buckets(address).values()) >= share else "not yet", 10, "each has its share")  # noqa: B023
    client.open("all", VIP4, count=100, pause=(0.1, 0.3))
    # Of what was never used the kernel counts the time since it was given to its member.
    until(lambda: "" if _is_clear(_idle(built)) else "not yet", 10, "it is clear which buckets are in use")
    until(lambda: "" if min(_idle(built, SECOND)) > IDLE else "not yet", 10, "nobody uses the other one's")
    yield built
    client.close("all")
    built.daemon.config.write_text(good)
    built.cli("reload")


def _owners(site: Site) -> dict[int, tuple[int, bool]]:
    """Return who has each bucket of the address, and whether it carries flows."""
    with inside(site.router):
        return {index: (owner, idle < IDLE) for index, owner, idle in lookup.buckets(site.group(VIP4))}


def _is_clear(idle: list[float]) -> bool:
    return max(idle) > IDLE and not any(0.8 < each <= IDLE + 0.2 for each in idle)


def _idle(site: Site, address: str = VIP4) -> list[float]:
    with inside(site.router):
        return [idle for _, _, idle in lookup.buckets(site.group(address))]


def _moved(before: dict[int, tuple[int, bool]], after: dict[int, tuple[int, bool]]) -> int:
    return sum(busy and after[index][0] != owner for index, (owner, busy) in before.items())


def _foreseen(site: Site, *keys: Key) -> dict[str, Any]:
    text = site.daemon.config.read_text()
    for key, value in keys:
        text = written(text, key, value)
    site.daemon.config.write_text(text)
    answer = json.loads(site.cli("diff", "--json", check=False))
    found: dict[str, Any] = answer["forecast"]
    return found


def _evidence(site: Site, keys: list[Key], foreseen: dict[str, Any]) -> str:
    """Return what tells why flows were foreseen to move."""
    groups = json.loads(site.cli("groups", "--json"))
    kernel = site.router.run("ip", "-d", "nexthop", "show")
    buckets = {address: site.buckets(address) for address in (VIP4, SECOND)}
    idle = {address: sorted(_idle(site, address)) for address in (VIP4, SECOND)}
    return f"{keys}\n{foreseen}\n{groups}\n{kernel}\n{buckets}\n{idle}"


def test_none_moves_where_none_has_to(site: Site, client: flows.Flows) -> None:
    """Some alone, and all at once: none is foreseen to move, none does, and no connection breaks."""
    good = site.daemon.config.read_text()
    for keys in (NONE_MOVE[:1], NONE_MOVE[1:2], NONE_MOVE):
        before = _owners(site)
        foreseen = _foreseen(site, *keys)
        assert (foreseen["buckets"]["moving"], foreseen["routes"]) == (0, []), _evidence(site, keys, foreseen)
        assert foreseen["groups"]["changed"] == foreseen["groups"]["anew"] == 0
        site.cli("reload")
        assert _moved(before, _owners(site)) == 0, keys
        site.daemon.config.write_text(good)
        site.cli("reload")
    assert not client.report("all").broken


def test_a_node_without_a_place(site: Site, client: flows.Flows) -> None:
    """Of three nodes one is to go: its buckets move, no others, and its connections break, no others."""
    before, alive = _owners(site), client.report("all").alive
    foreseen = _foreseen(site, ("fib.max_paths", "2"))
    assert foreseen["groups"]["changed"] == 1
    assert [(each["fate"], each["count"]) for each in foreseen["routes"]] == [("moves", 1)]
    ((change,),) = [each["first"] for each in foreseen["routes"]]
    (lost,) = (node for node in site.nodes if node.ipv4 in {*change["before"]} - {*change["after"]})
    busy = [owner for owner, used in before.values() if used]
    assert foreseen["buckets"] | {"busy": 0} == {
        "moving": busy.count(site.nexthop(lost)), "busy": 0, "groups": 1, "unread": 0, "unseen": [],
    }  # fmt: skip
    assert foreseen["buckets"]["busy"] == len(busy)
    site.cli("reload")
    until(lambda: "" if site.next_hops(VIP4) != {n.name for n in site.nodes} else "three nodes", 10, "a node is out")
    assert _moved(before, _owners(site)) == foreseen["buckets"]["moving"]
    assert sum(client.settle("all").broken.values()) == alive[lost.name]


def test_buckets_that_are_moved_by_time(site: Site, client: flows.Flows) -> None:
    """Two nodes have nearly all buckets in use as a third one returns; then a timer says that it gets its share."""
    client.open("more", VIP4, count=300, pause=(0.1, 0.3))
    good = site.daemon.config.read_text()
    site.daemon.config.write_text(written(good, "fib.max_paths", "2"))
    site.cli("reload")
    until(lambda: "" if len(site.next_hops(VIP4)) == 2 else "three nodes", 10, "a node is out")
    client.settle("more")
    site.daemon.config.write_text(good)
    site.cli("reload")
    until(lambda: "" if len(site.next_hops(VIP4)) == 3 else "two nodes", 10, "the node is back")
    until(lambda: "" if len(site.buckets(VIP4)) == 3 else "none", 10, "the node has what was idle")
    before = _owners(site)
    foreseen = _foreseen(site, ("fib.unbalanced_timer", "1.0"))
    assert foreseen["buckets"]["moving"] > 10
    site.cli("reload")
    until(lambda: "" if min(site.buckets(VIP4).values()) >= SHARE else "less", 20, "each has its share")
    assert _moved(before, _owners(site)) == foreseen["buckets"]["moving"]
    client.close("more")


@pytest.mark.parametrize(
    ("key", "emptied"),
    [(("peer_groups.nodes.accept", '["172.20.0.0/16"]'), 2), (("fib.groups", '"hash-threshold"'), 0)],
)
def test_all_that_is_in_use_is_lost(site: Site, key: Key, emptied: int) -> None:
    """The route goes, or the group gives way to one that has no buckets."""
    busy = sum(used for _, used in _owners(site).values())
    foreseen = _foreseen(site, key)
    assert foreseen["buckets"]["moving"] == foreseen["buckets"]["busy"] == busy > 30
    assert foreseen["groups"]["emptied"] == emptied
    was = site.group(VIP4)
    site.cli("reload")
    until(lambda: "" if site.group(VIP4) != was else "the same group", 10, "the group is out of use")
