"""`routerd flow` names the node that serves a connection, or says why nobody can."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from routerd.cli.client import Client
from routerd.core.message.flow import Reading
from routerd.kernel import packets
from routerd.lab.waiting import until
from tests.failover.cluster import VIP4, VIP6, Site, cluster, configuration, inside
from tests.failover.flows import PORT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

COUNT = 50


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with cluster(configuration(fib="idle_timer = 1"), 3) as built:
        built.start()
        for node in built.nodes:
            node.up(VIP4, VIP6)
        for vip in (VIP4, VIP6):
            built.wait_for(vip, built.nodes)
            until(lambda vip=vip: _unfair(built, vip), 10, f"fair shares of {vip}")  # type: ignore[misc]
        yield built


def _unfair(site: Site, vip: str) -> str:
    counts = site.buckets(vip)
    least, most = min(counts[node.name] for node in site.nodes), max(counts.values())
    return "" if most - least <= 1 else str(counts)


def asked(site: Site, source: str, port: int, vip: str, **more: Any) -> Any:
    """Return the API's answer about a connection."""
    where = {"source": source, "source_port": port, "destination": vip, "destination_port": PORT}
    return Client(str(site.daemon.socket)).get("/v1/flow", **(where | more))


def connected(site: Site, stack: ExitStack, vip: str, count: int = COUNT) -> list[tuple[str, int, str]]:
    """Open connections; return each one's source, its port, and the node that serves it."""
    found: list[tuple[str, int, str]] = []
    with inside(site.fabric.client):
        for _ in range(count):
            made = stack.enter_context(socket.create_connection((vip, PORT), 10))
            source, port = made.getsockname()[:2]
            found.append((source, port, made.makefile().readline().strip()))
    return found


def test_the_node_of_each_connection_is_the_one_that_serves_it(site: Site) -> None:
    with ExitStack() as stack:
        made = connected(site, stack, VIP4)
        names = {node.ipv4: node.name for node in site.nodes}
        for source, port, server in made:
            answer = asked(site, source, port, VIP4)
            assert names[answer["node"]["gateway"]] == server, answer
            assert answer["certain"], answer["doubts"]
            assert answer["bucket"]["index"] is not None
            assert [path["peer"] for path in answer["paths"]] == [answer["node"]["gateway"]]
    assert {server for _, _, server in made} == set(names.values()), "the test shows nothing with a single node"


def test_where_the_kernel_cannot_tell_the_answer_says_so(site: Site) -> None:
    """Asked about IPv6 the kernel hashes in another way than for packets: a third of its answers would be right."""
    with ExitStack() as stack:
        source, port, server = connected(site, stack, VIP6, 1)[0]
        answer = asked(site, source, port, VIP6)
    assert (answer["found"], answer["node"], answer["certain"]) == ("unknown", None, False)
    assert any("IPv6" in doubt for doubt in answer["doubts"])
    shares = {names: member["share"] for member in answer["members"] for names in member["member"]["peers"]}
    assert server in {node.name for node in site.nodes if node.ipv4 in shares}
    assert sum(shares.values()) == pytest.approx(1.0)
    without = asked(site, "10.10.1.10", 0, VIP4)
    assert (without["found"], without["node"]) == ("unknown", None)
    assert any("ports" in doubt for doubt in without["doubts"])


def test_a_route_that_is_not_routerds_is_told_from_one_that_is(site: Site) -> None:
    answer = asked(site, "10.10.1.10", 40000, site.nodes[0].ipv4)
    assert (answer["found"], answer["route"]["own"], answer["certain"]) == ("not ours", False, False)
    assert asked(site, "10.10.1.10", 40000, "192.168.10.200")["found"] == "local"
    assert asked(site, "10.10.1.10", 40000, "203.0.113.1")["found"] == "no route"


def test_a_rule_for_a_port_alone_is_met_and_named(site: Site) -> None:
    rule = f"to {VIP4} ipproto tcp dport {PORT} blackhole pref 50"
    site.router.ip(f"rule add {rule}")
    try:
        answer = asked(site, "10.10.1.10", 40000, VIP4)
        other = asked(site, "10.10.1.10", 40000, VIP4, destination_port=PORT + 1)
    finally:
        site.router.ip(f"rule del {rule}")
    assert answer["found"] == "no route"
    assert answer["doubts"] == ["a blackhole, a route or a rule, drops its packets"]
    assert other["found"] == "node"


def test_an_interface_that_nobody_knows_is_asked_for(site: Site) -> None:
    done = site.cli("flow", "203.0.113.9:1", f"{VIP4}:{PORT}", check=False)
    assert done.count("\n") == 1
    assert "--interface" in done
    answer = asked(site, "203.0.113.9", 1, VIP4, interface="client")
    assert answer["found"] == "node"


def test_who_changed_the_group_last_is_told(site: Site) -> None:
    """A node that leaves, one that is drained, and one that returns."""
    leaver, drained, _ = site.nodes
    leaver.notify(6, 2)
    site.wait_for(VIP4, [node for node in site.nodes if node is not leaver])
    changed = asked(site, "10.10.1.10", 40000, VIP4)["changed"]
    assert [(each["gateway"], each["what"]) for each in changed["members"]] == [(leaver.ipv4, "left")]
    assert (changed["cause"]["event"], changed["cause"]["peer"]) == ("peer down", leaver.ipv4)
    leaver.up(VIP4, VIP6)
    site.wait_for(VIP4, site.nodes)
    changed = asked(site, "10.10.1.10", 40000, VIP4)["changed"]
    assert (leaver.ipv4, "joined") in [(each["gateway"], each["what"]) for each in changed["members"]]
    assert (changed["cause"]["event"], changed["cause"]["peer"]) == ("peer up", leaver.ipv4)
    until(lambda: _unfair(site, VIP4), 10, "fair shares")
    site.cli("drain", drained.ipv4)
    changed = asked(site, "10.10.1.10", 40000, VIP4)["changed"]
    assert {each["what"] for each in changed["members"]} <= {"weight", "left"}
    assert changed["cause"]["event"] == "drain", (changed, site.cli("events"))
    assert changed["cause"]["by"].startswith("root")
    site.cli("undrain", drained.ipv4)


def test_a_node_that_withdraws_by_itself_is_named_without_an_event(site: Site) -> None:
    node = site.nodes[2]
    node.withdraw(VIP4)
    site.wait_for(VIP4, [each for each in site.nodes if each is not node])
    changed = asked(site, "10.10.1.10", 40000, VIP4)["changed"]
    assert [(each["gateway"], each["what"]) for each in changed["members"]] == [(node.ipv4, "left")]
    assert changed["cause"] == {}
    node.announce(VIP4)
    site.wait_for(VIP4, site.nodes)


@pytest.mark.parametrize("vip", [VIP4, VIP6])
def test_with_l4_the_node_is_named_for_packets_that_carry_no_hash(site: Site, vip: str) -> None:
    """As from a network card: those of a raw socket. Other sockets of this machine mark their packets, and so the
    answer has a doubt."""
    if asked(site, "10.10.1.10", 1, VIP4)["hash_policy"] != "l4":
        site.start(configuration(fib="idle_timer = 1").replace('"five-tuple"', '"l4"'))
        for node in site.nodes:
            node.up(VIP4, VIP6)
        for each in (VIP4, VIP6):
            site.wait_for(each, site.nodes)
            until(lambda each=each: _unfair(site, each), 10, f"fair shares of {each}")  # type: ignore[misc]
    group, names = site.group(vip), site._names
    source = "fd00:c::10" if vip == VIP6 else "10.10.1.10"
    served: set[str] = set()
    for port in range(20000, 20020):
        with inside(site.router):
            before = packets.read()
        with inside(site.fabric.client):
            _syn(vip, port)
        with inside(site.router):
            hit = until_counted(group, before)
        answer = asked(site, source, port, vip)
        assert answer["node"]["nexthop_id"] in hit, (port, hit, answer)
        assert not answer["certain"]
        assert any("skb->l4_hash" in doubt for doubt in answer["doubts"])
        served.add(names[answer["node"]["gateway"]])
    assert len(served) == 3


def test_with_hash_threshold_groups_too(site: Site) -> None:
    site.start(configuration(fib='groups = "hash-threshold"'))
    for node in site.nodes:
        node.up(VIP4)
    site.wait_for(VIP4, site.nodes)
    names = {node.ipv4: node.name for node in site.nodes}
    with ExitStack() as stack:
        for source, port, server in connected(site, stack, VIP4, 20):
            answer = asked(site, source, port, VIP4)
            assert (names[answer["node"]["gateway"]], answer["certain"]) == (server, True)
    assert (answer["group_type"], answer["bucket"]) == ("hash-threshold", None)


def _syn(vip: str, port: int) -> None:
    """Send a segment from a port that no socket has."""
    family = socket.AF_INET6 if ":" in vip else socket.AF_INET
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        raw.sendto(struct.pack("!HHIIBBHHH", port, PORT, 1, 0, 5 << 4, 2, 1000, 0, 0), (vip, 0))


def until_counted(group: int, before: Reading) -> set[int]:
    """Wait until a member has carried a packet more; return which."""
    found: set[int] = set()

    def missing() -> str:
        now = packets.read().packets[group]
        found.update(id_ for id_, count in now.items() if count > before.packets[group][id_])
        return "" if found else "no packet"

    until(missing, 5, "a packet is counted")
    return found
