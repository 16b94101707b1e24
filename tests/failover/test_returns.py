"""Who returns, when and how: the FIB is right soon after the last node is back, and stays until it can be."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from routerd.lab.speakers import Bird, Frr, GoBgp, Session, Speaker
from routerd.lab.waiting import until
from tests.failover.cluster import NODE_AS, ROUTER_AS, VIP4, Site, cluster, configuration
from tests.support.bgp import IPV4, IPV6, Graceful

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

GONE = "172.16.2.2"
LONG = Graceful(time=60, families={IPV4: True, IPV6: True})
SHORT = configuration(group="stale_time = 2").replace("restart_time = 15", "restart_time = 1")


@pytest.fixture(scope="module")
def built() -> Iterator[Site]:
    with cluster(configuration(), 3) as site:
        yield site


@pytest.fixture
def site(built: Site) -> Iterator[Site]:
    yield built
    built.close_sessions()
    built.daemon.kill()


def child(site: Site) -> int:
    """The process id of the present ExaBGP child, 0 if there is none."""
    return site.status()["speaker"]["pid"] or 0


def test_the_fib_stays_however_often_the_speaker_dies(site: Site) -> None:
    """The child is killed whenever it has come back, for longer than stale_time; one node is back in between."""
    site.start(SHORT)
    first, second, _ = site.nodes
    for node in (first, second):
        node.up(VIP4, GONE)
    site.wait_for(GONE, [first, second])
    with site.watching_nexthops() as watch:
        started, deaths = time.monotonic(), 0
        while time.monotonic() < started + 5:
            if pid := child(site):
                os.kill(pid, signal.SIGKILL)
                deaths += 1
                until(lambda pid=pid: "" if child(site) != pid else "it lives", 5, "the speaker is dead")  # type: ignore[misc]
            assert site.next_hops(GONE) == {first.name, second.name}
        assert deaths > 2
        until(lambda: "" if site.status()["speaker"]["running"] else "down", 15, "the speaker is back")
        for node in (first, second):
            node.up(VIP4)
        site.wait_for(GONE, [], 5)
        assert site.next_hops(VIP4) == {first.name, second.name}
        print(f"{deaths} deaths, {len(watch.seen)} nexthop messages")


def test_the_fib_stays_when_the_speaker_dies_while_nodes_announce(site: Site) -> None:
    """They have come to one VIP of two each time: the other one is not theirs to lose."""
    site.start(configuration())
    first, second, _ = site.nodes
    both = {first.name, second.name}
    for node in (first, second):
        node.up(VIP4, GONE, graceful=LONG)
    for vip in (VIP4, GONE):
        site.wait_for(vip, [first, second])
    for deaths in range(1, 3):
        os.kill(child(site), signal.SIGKILL)
        ready = deaths + 1
        until(lambda ready=ready: "" if len(site.logged("speaker listens")) == ready else "no", 10, "a speaker")  # type: ignore[misc]
        for node in (first, second):
            assert site.next_hops(GONE) == both
            node.dial(graceful=LONG)
            node.announce(VIP4)
            until(lambda node=node: "" if site.peer(node)["totals"]["stale"] == 1 else "no", 10, "one VIP is fresh")  # type: ignore[misc]
    assert site.next_hops(GONE) == both
    for node in (first, second):
        node.end_of_rib()
    site.wait_for(GONE, [])
    assert site.next_hops(VIP4) == both


@pytest.mark.parametrize("kind", [GoBgp, Frr, Bird])
def test_the_fib_is_right_soon_after_a_node_without_graceful_restart_is_back(
    site: Site, kind: type[Speaker], tmp_path: Path
) -> None:
    """routerd restarts; while it is away a node withdraws a VIP. GoBGP and FRR send no End-of-RIB then."""
    kind.require()
    site.start(configuration())
    raw, real, _ = site.nodes
    session = Session(
        asn=NODE_AS,
        router_id=real.ipv4,
        local=real.ipv4,
        next_hops=(real.ipv4, real.ipv6),
        routers=("192.168.10.200",),
        router_asn=ROUTER_AS,
        connect_retry=1,
        restart_time=0,
    )
    speaker = kind(real.namespace, tmp_path, session)
    with ExitStack() as stack:
        stack.callback(speaker.close)
        speaker.announce(f"{VIP4}/32", f"{GONE}/32")
        speaker.start()
        raw.up(VIP4, GONE, graceful=LONG)
        site.wait_for(GONE, [raw, real], 20)
        site.daemon.kill()
        speaker.withdraw(f"{GONE}/32")
        site.start_daemon()
        assert site.next_hops(GONE) == {raw.name, real.name}
        raw.up(VIP4, GONE, graceful=LONG)
        until(lambda: "" if site.peer(real)["state"] == "established" else "down", 40, "the node is back")
        took = site.wait_for(GONE, [raw], 5)
        assert site.next_hops(VIP4) == {raw.name, real.name}
        print(f"right {took:.2f} s after the last node's return")


def test_a_node_that_has_not_returned_is_shown(site: Site) -> None:
    site.start(configuration().replace('group = "nodes"', 'group = "nodes"\nexpected = 2'))
    first, second, _ = site.nodes
    for node in (first, second):
        node.up(VIP4, graceful=LONG)
    site.wait_for(VIP4, [first, second])
    until(lambda: str(site.status()["problems"] or ""), 5, "all is well")
    site.daemon.kill()
    site.start_daemon()
    first.up(VIP4, graceful=LONG)
    until(lambda: "" if site.peer(first)["state"] == "established" else "down", 10, "one is back")
    problems = {problem["where"]: problem["what"] for problem in site.status()["problems"]}
    assert "has not returned" in problems[f"node {second.ipv4}"]
    assert problems["range 192.168.10.0/24"] == "1 nodes have a session, 2 are expected"
    assert site.peer(second)["reason"] == "has not returned since routerd started"
    assert site.next_hops(VIP4) == {first.name, second.name}
    second.up(VIP4, graceful=LONG)
    until(lambda: str(site.status()["problems"] or ""), 10, "all is well again")


def test_a_node_that_died_meanwhile_is_out_when_its_link_layer_is_silent(site: Site) -> None:
    site.start(configuration())
    first, second, _ = site.nodes
    for node in (first, second):
        node.up(VIP4, GONE, graceful=LONG)
    site.wait_for(GONE, [first, second])
    site.daemon.kill()
    site.silence(second)
    second.close()
    site.start_daemon()
    first.up(VIP4, graceful=LONG)
    until(lambda: "" if site.peer(first)["state"] == "established" else "down", 10, "one is back")
    site.wait_for(VIP4, [first], 5)
    site.wait_for(GONE, [], 5)
