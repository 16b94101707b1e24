"""The graceful restart helper: what stays in the kernel when a session ends, for how long, and what goes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from routerd.core.route import format_address, parse_prefix
from routerd.kernel import lookup, wire
from routerd.lab.process import Process
from routerd.lab.speakers import Session
from routerd.lab.speakers.gobgp import GoBgp
from routerd.lab.waiting import LabError, until
from tests.failover.cluster import NODE_AS, ROUTER_AS, VIP4, VIP6, Node, Site, cluster, configuration, inside
from tests.support import bgp
from tests.support.bgp import IPV4, IPV6, Graceful

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

BOTH = {IPV4: True, IPV6: True}
LONG = Graceful(time=60, families=BOTH)
CEASE, ADMINISTRATIVE_RESET, HARD_RESET, UPDATE_ERROR = 6, 4, 9, 3


@pytest.fixture(scope="module")
def built() -> Iterator[Site]:
    with cluster(configuration(group="stale_time = 30"), 2) as site:
        site.start()
        yield site


@pytest.fixture
def site(built: Site) -> Iterator[Site]:
    """No session, nothing stale, at the end neither."""
    yield built
    node = built.nodes[1]
    node.dial()  # without the capability: what is stale goes
    until(lambda: str(built.peer(node)["totals"]["stale"] or ""), 5, "nothing is stale")
    built.close_sessions()
    for vip in (VIP4, VIP6):
        built.wait_for(vip, [])


@contextmanager
def watched(site: Site, *vips: str) -> Iterator[list[str]]:
    """Look at the kernel's routes every 5 ms or so; what is yielded has, at the end, all changes in order."""
    changes: list[str] = []
    stop = threading.Event()
    looks = 0

    def look() -> None:
        nonlocal looks
        last: dict[str, str] = {}
        parsed = {vip: parse_prefix(f"{vip}/{128 if ':' in vip else 32}") for vip in vips}
        with inside(site.router):
            while not stop.wait(0.005):
                for vip, prefix in parsed.items():
                    found = lookup.route(prefix)
                    legs = () if found is None else found.legs
                    to = " ".join(format_address(leg.gateway) for leg in legs if leg.gateway is not None)
                    now = f"{vip} {found.nexthop} {to}" if found is not None else vip
                    looks += 1
                    if last.get(vip, now) != now:
                        changes.append(now)
                    last[vip] = now

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield changes
    finally:
        stop.set()
        thread.join()
        print(f"{looks} looks, changes: {changes or 'none'}")
        assert looks


def wait_until_stale(site: Site, node: Node) -> None:
    """Wait until the session is over and its paths are kept."""
    until(lambda: "" if site.peer(node)["state"] == "stale" else site.peer(node)["state"], 5, "the paths are stale")


def test_a_lost_connection_leaves_the_paths_until_the_restart_time_is_over(site: Site) -> None:
    """A4: stale, in the kernel, withdrawn on time."""
    node = site.nodes[1]
    node.up(VIP4, VIP6, graceful=Graceful(time=2, families=BOTH))
    for vip in (VIP4, VIP6):
        site.wait_for(vip, [node])
    started = node.close()
    wait_until_stale(site, node)
    assert site.peer(node)["totals"]["stale"] == 2
    while time.monotonic() < started + 1.8:
        assert site.next_hops(VIP4) == {node.name}
        assert site.next_hops(VIP6) == {node.name}
    for vip in (VIP4, VIP6):
        site.wait_for(vip, [], 2)
    took = time.monotonic() - started
    print(f"restart time 2 s: withdrawn after {took:.2f} s")
    assert 2.0 <= took < 3.0


def test_what_is_not_announced_again_goes_with_the_end_of_rib(site: Site) -> None:
    """A4, and what is announced again shows no gap."""
    node = site.nodes[1]
    node.up(VIP4, VIP6, "172.16.2.2", graceful=LONG)
    site.wait_for("172.16.2.2", [node])
    site.wait_for(VIP6, [node])
    gone = site.group("172.16.2.2")
    with watched(site, VIP4, VIP6) as changes, site.watching_nexthops() as watch, site.route_messages() as messages:
        node.close()
        wait_until_stale(site, node)
        node.dial(graceful=replace(LONG, restarting=True))
        node.announce(VIP4, VIP6)
        assert site.next_hops("172.16.2.2") == {node.name}
        node.end_of_rib()
        site.wait_for("172.16.2.2", [])
        assert site.peer(node)["totals"]["stale"] == 0
        assert [line for line in messages() if " 172.16.2.2 " not in f" {line} "] == []
    assert changes == []
    assert {(kind, id_) for _, kind, id_ in watch.seen} <= {(wire.RTM_DELNEXTHOP, gone)}


@pytest.mark.parametrize(
    "again", [None, Graceful(families={IPV4: False, IPV6: False})], ids=["no capability", "forwarding lost"]
)
def test_a_node_that_did_not_preserve_its_forwarding_loses_its_paths(site: Site, again: Graceful | None) -> None:
    """A4: the new OPEN lacks the capability, or its F bits are clear."""
    node = site.nodes[1]
    node.up(VIP4, VIP6, graceful=LONG)
    site.wait_for(VIP6, [node])
    node.close()
    wait_until_stale(site, node)
    node.dial(graceful=again)
    for vip in (VIP4, VIP6):
        site.wait_for(vip, [], 2)


def test_a_node_that_loses_its_link_meanwhile_is_out_until_it_speaks(site: Site) -> None:
    """It boots: its kernel answers long before its speaker does (RFC 4724 section 4.2)."""
    node, other = site.nodes[:2]
    node.up("172.16.2.3", graceful=LONG)
    other.up("172.16.2.4", graceful=LONG)
    site.wait_for("172.16.2.3", [node])
    site.wait_for("172.16.2.4", [other])
    node.close()
    wait_until_stale(site, node)
    port = site.fabric.topology.nodes[0].network.attachment("router", 200).port
    site.fabric.switch.run("ip", "link", "set", port, "down")
    until(lambda: str(site.peer(other)["totals"]["in_fib"] or ""), 5, "routerd knows")
    site.fabric.switch.run("ip", "link", "set", port, "up")
    site.wait_for("172.16.2.4", [other])
    assert site.peer(node)["totals"]["stale"] == 1
    assert site.next_hops("172.16.2.3") == set()
    node.dial(graceful=replace(LONG, restarting=True))
    site.wait_for("172.16.2.3", [node])


def test_a_family_that_was_not_listed_is_not_kept(site: Site) -> None:
    node = site.nodes[1]
    node.up(VIP4, VIP6, graceful=Graceful(time=60, families={IPV4: True}))
    site.wait_for(VIP4, [node])
    site.wait_for(VIP6, [node])
    node.close()
    site.wait_for(VIP6, [], 2)
    assert site.next_hops(VIP4) == {node.name}


@pytest.mark.parametrize(
    ("n_bit", "code", "subcode", "kept"),
    [
        (True, CEASE, ADMINISTRATIVE_RESET, True),
        (True, CEASE, HARD_RESET, False),
        (False, CEASE, ADMINISTRATIVE_RESET, False),
        (True, UPDATE_ERROR, 1, True),
    ],
    ids=["N, Administrative Reset", "N, Hard Reset", "no N", "N, UPDATE error"],
)
def test_a_notification(site: Site, n_bit: bool, code: int, subcode: int, kept: bool) -> None:
    """A5, RFC 8538: with the N bit a NOTIFICATION other than Hard Reset counts as a lost connection."""
    node = site.nodes[1]
    node.up(VIP4, VIP6, graceful=replace(LONG, notification=n_bit))
    for vip in (VIP4, VIP6):
        site.wait_for(vip, [node])
    with site.watching_nexthops() as watch:
        node.notify(code, subcode)
        if kept:
            wait_until_stale(site, node)
            assert watch.seen == []
            assert site.next_hops(VIP4) == site.next_hops(VIP6) == {node.name}
        else:
            for vip in (VIP4, VIP6):
                site.wait_for(vip, [], 1)


@pytest.mark.parametrize("n_bit", [True, False])
def test_the_hold_time_passes(site: Site, n_bit: bool) -> None:
    """A5: the speaker hangs while its host answers. The router's NOTIFICATION, 4/0, keeps the paths with the N bit
    alone."""
    node = site.nodes[1]
    node.dial(hold=3, keepalive=False, graceful=replace(LONG, notification=n_bit))
    node.announce(VIP4, VIP6)
    node.end_of_rib()
    site.wait_for(VIP6, [node])
    _, body = node.hear(bgp.NOTIFICATION, 6)
    assert body[0] == 4
    if n_bit:
        wait_until_stale(site, node)
        assert site.next_hops(VIP4) == site.next_hops(VIP6) == {node.name}
    else:
        for vip in (VIP4, VIP6):
            site.wait_for(vip, [], 1)


# ------------------------------------------------------------------------------------------------------- GoBGP


class Restarting(GoBgp):
    """gobgpd that says that it preserved its forwarding, as an agent does that restarts on a node."""

    def _launch(self) -> Process:
        first = super()._launch  # writes the configuration
        config = self.directory / "gobgpd.toml"
        if not config.exists():
            return first()
        arguments = ["-p", "-r", "-f", str(config), "--api-hosts", "127.0.0.1:50051", "--pprof-disable"]
        return Process(self.namespace, ["gobgpd", *arguments], self.log)


@pytest.fixture
def gobgp(site: Site, tmp_path: Path) -> Iterator[Restarting]:
    """A real gobgpd on the second node. Its restart time has to be longer than the 5 s after which it dials."""
    try:
        GoBgp.require()
    except LabError as error:
        pytest.skip(str(error))
    node = site.nodes[1]
    session = Session(
        asn=NODE_AS,
        router_id=node.ipv4,
        local=node.ipv4,
        next_hops=(node.ipv4, node.ipv6),
        routers=("192.168.10.200",),
        router_asn=ROUTER_AS,
        connect_retry=1,
        restart_time=12,
    )
    speaker = Restarting(node.namespace, tmp_path, session)
    speaker.announce(f"{VIP4}/32", f"{VIP6}/128")
    yield speaker
    speaker.close()


def test_gobgp_is_killed_and_comes_back(site: Site, gobgp: Restarting) -> None:
    """kill -9 leaves forwarding as it is, and so does the return within the restart time."""
    node = site.nodes[1]
    gobgp.start()
    for vip in (VIP4, VIP6):
        site.wait_for(vip, [node], 20)
    with watched(site, VIP4, VIP6) as changes, site.watching_nexthops() as watch:
        gobgp.kill()
        wait_until_stale(site, node)
        gobgp.start()
        until(lambda: "" if site.peer(node)["state"] == "established" else "down", 10, "it is back")
        until(lambda: str(site.peer(node)["totals"]["stale"] or ""), 10, "all is announced again")
    assert changes == []
    assert watch.seen == []
    assert site.peer(node)["totals"]["in_fib"] == 2


def test_gobgp_is_killed_and_stays_away(site: Site, gobgp: Restarting) -> None:
    node = site.nodes[1]
    gobgp.session = replace(gobgp.session, restart_time=3)
    gobgp.start()
    for vip in (VIP4, VIP6):
        site.wait_for(vip, [node], 20)
    started = time.monotonic()
    gobgp.kill()
    while time.monotonic() < started + 2.8:
        assert site.next_hops(VIP4) == site.next_hops(VIP6) == {node.name}
    for vip in (VIP4, VIP6):
        site.wait_for(vip, [], 2)
    print(f"restart time 3 s: withdrawn after {time.monotonic() - started:.2f} s")
