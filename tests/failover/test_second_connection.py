"""Somebody else dials from a node's address, or the node does so again: what the kernel's routes see of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from routerd.lab.process import Process
from routerd.lab.speakers import Session
from routerd.lab.speakers import frr as lab_frr
from routerd.lab.speakers.frr import Frr
from routerd.lab.waiting import LabError, until
from tests.failover.cluster import NODE_AS, ROUTER_AS, VIP4, VIP6, Node, Site, cluster, configuration
from tests.failover.test_graceful_restart import LONG, wait_until_stale, watched
from tests.support import bgp

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

ROUTER = "192.168.10.200"


@pytest.fixture(scope="module")
def built() -> Iterator[Site]:
    with cluster(configuration(group="stale_time = 30"), 2) as site:
        site.start()
        yield site


@pytest.fixture
def site(built: Site) -> Iterator[Site]:
    yield built
    node = built.nodes[1]
    node.dial()  # without the capability: what is stale goes
    until(lambda: str(built.peer(node)["totals"]["stale"] or ""), 5, "nothing is stale")
    built.close_sessions()
    for vip in (VIP4, VIP6):
        built.wait_for(vip, [])


def strangers(node: Node) -> None:
    """Dial from the node's address in many ways, none of which has a right to its session."""

    async def visit(said: bytes) -> None:
        async with await bgp.connect(ROUTER, source=node.ipv4) as stranger:
            if said:
                stranger.send(said)
                assert (await stranger.expect(bgp.NOTIFICATION))[0] == bgp.NOTIFICATION
                await stranger.closed()

    async def visits() -> None:
        other = bgp.open_message(asn=NODE_AS, router_id="10.77.77.77")
        for said in (b"", b"GET / HTTP/1.0\r\nHost: router\r\n\r\n", bgp.open_message(asn=65002), other):
            await visit(said)

    node._do(visits())


@pytest.mark.parametrize("graceful", [None, LONG], ids=["plain", "graceful restart"])
def test_strangers_take_no_route_away(site: Site, graceful: bgp.Graceful | None) -> None:
    """A port scan, a web client, a speaker of another AS, and another speaker of the node's AS (metallb#114)."""
    node = site.nodes[1]
    node.up(VIP4, VIP6, graceful=graceful)
    for vip in (VIP4, VIP6):
        site.wait_for(vip, [node])
    sessions = site.peer(node)["sessions"]
    with watched(site, VIP4, VIP6) as changes, site.watching_nexthops() as watch, site.route_messages() as messages:
        strangers(node)
        assert node.connected
        assert (site.peer(node)["state"], site.peer(node)["sessions"]) == ("established", sessions)
        assert messages() == []
    assert changes == []
    assert watch.seen == []


@pytest.mark.parametrize("lost", [False, True], ids=["the old connection stands", "the old connection is lost"])
def test_a_restarted_node_leaves_no_gap(site: Site, lost: bool) -> None:
    """RFC 4724: it dials again before the router knows that the old session is over."""
    node = site.nodes[1]
    node.up(VIP4, VIP6, graceful=LONG)
    for vip in (VIP4, VIP6):
        site.wait_for(vip, [node])
    sessions = site.peer(node)["sessions"]
    with watched(site, VIP4, VIP6) as changes, site.watching_nexthops() as watch, site.route_messages() as messages:
        old = node.forsake()
        if lost:
            node._do(old.vanish())
        node.up(VIP4, VIP6, graceful=replace(LONG, restarting=True))
        until(lambda: "" if site.peer(node)["sessions"] == sessions + 1 else "the old one", 10, "the new session")
        until(lambda: str(site.peer(node)["totals"]["stale"] or ""), 10, "all is announced again")
        assert messages() == []
        node._do(old.close())
    assert changes == []
    assert watch.seen == []
    assert site.peer(node)["totals"]["in_fib"] == 2


def test_a_power_cycled_node_is_back_within_a_second_or_two(site: Site) -> None:
    """Without graceful restart: what it does not announce any more is gone, and nothing waits for the hold time."""
    node = site.nodes[1]
    node.up(VIP4, VIP6, hold=240)
    site.wait_for(VIP6, [node])
    node._do(node.forsake().vanish())
    node.up(VIP4, hold=240)
    site.wait_for(VIP4, [node], 10)
    site.wait_for(VIP6, [], 10)


class Restarting(Frr):
    """An FRR that says that it preserved its forwarding.

    It has no route map: with one, it sends End-of-RIB ahead of its routes (FRRouting/frr#10440).
    """

    def _launch(self) -> Process:
        plain = lab_frr.configuration

        def preserving(session: Session, prefixes: list[str]) -> str:
            line, mapped = " bgp graceful-restart\n", f"  neighbor {ROUTER} route-map NODE out\n"
            text = plain(session, prefixes).replace(mapped, "")
            return text.replace(line, f"{line} bgp graceful-restart preserve-fw-state\n")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lab_frr, "configuration", preserving)
            return super()._launch()


@pytest.fixture
def frr(site: Site, tmp_path: Path) -> Iterator[Restarting]:
    try:
        Frr.require()
    except LabError as error:
        pytest.skip(str(error))
    node = site.nodes[1]
    session = Session(
        asn=NODE_AS,
        router_id=node.ipv4,
        local=node.ipv4,
        next_hops=(node.ipv4, node.ipv6),
        routers=(ROUTER,),
        router_asn=ROUTER_AS,
        connect_retry=1,
        restart_time=30,
    )
    speaker = Restarting(node.namespace, tmp_path, session)
    speaker.announce(f"{VIP4}/32")
    yield speaker
    speaker.close()


def test_frr_is_killed_and_comes_back(site: Site, frr: Restarting) -> None:
    node = site.nodes[1]
    frr.start()
    site.wait_for(VIP4, [node], 20)
    with watched(site, VIP4) as changes, site.watching_nexthops() as watch:
        frr.kill()
        wait_until_stale(site, node)
        frr.start()
        until(lambda: "" if site.peer(node)["state"] == "established" else "down", 20, "it is back")
        until(lambda: str(site.peer(node)["totals"]["stale"] or ""), 20, "all is announced again")
    assert changes == []
    assert watch.seen == []
    assert site.peer(node)["totals"]["in_fib"] == 1
