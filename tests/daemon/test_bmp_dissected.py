"""BMP of the real daemon, read back by Wireshark: a message of every kind that routerd sends."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests.daemon.harness import ROUTER, announcement, becomes, node, node6, running
from tests.daemon.test_bmp import LEARNED, WIDE, Network, collectors, heard, section
from tests.support import bgp
from tests.support.bmp import Collector
from tests.support.netns import needs_root
from tests.support.tshark import Dissected, dissected, needs_tshark

__all__ = ["collectors"]
pytestmark = [needs_root, needs_tshark, pytest.mark.long]

MONITORING, STATISTICS, PEER_DOWN, PEER_UP, INITIATION, TERMINATION = map(str, range(6))
PRE, POST, OUT, LOC_RIB = ("0", "0x00"), ("0", "0x40"), ("0", "0x50"), ("3", "0x00")
"""RIBs by the type and the flags of the per-peer header (RFC 7854, RFC 8671, RFC 9069)."""


def without_table_name(message: bytes) -> bytes:
    """Return a message less the Information TLV that names the table of the Loc-RIB (RFC 9069 section 5.3), which
    Wireshark 4.0 takes for one more OPEN."""
    table_name = b"\0\3\0\6global"
    if not message.endswith(table_name):
        return message
    whole = message.removesuffix(table_name)
    return whole[:1] + struct.pack("!I", len(whole)) + whole[5:]


async def test_wireshark_reads_every_kind_of_message(
    network: Network, tmp_path: Path, clients: list[bgp.Client], collectors: list[Collector]
) -> None:
    collector = collectors[0]
    collector.keeps = True
    with running(network.router, tmp_path, LEARNED + section(collector)) as daemon:
        for number, asn in ((0, 65001), (1, WIDE)):
            clients.append(await network.establish(number, asn=asn))
        rich = bgp.attributes(next_hop=node(0), as_path=(65001, WIDE), med=70)
        rich += bgp.attribute(8, struct.pack("!HH", 65001, 7), 0xC0)
        rich += bgp.attribute(32, struct.pack("!III", WIDE, 1, 2), 0xC0)
        clients[0].send(bgp.update(rich, ["172.16.1.0/24", "192.0.2.0/24"]))
        clients[0].send(announcement(0, "fd00:ac10::1/128") + bgp.end_of_rib())
        clients[1].send(announcement(1, "172.16.2.0/24", as_path=(WIDE,)))
        await becomes(lambda: len(heard(collector.last, node(0), "post")), 2)
        await becomes(lambda: [len(heard(collector.last, node(number), "out")) for number in (0, 1)], [2, 3])
        await becomes(lambda: collector.last.statistics.get(node(0), {}).get((7, 0)), 3)
        await becomes(lambda: "loc-rib" in collector.last.statistics)
        clients[1].send(bgp.update(withdrawn=["172.16.2.0/24"]))
        await becomes(lambda: len(heard(collector.last, node(1), "post")), 0)
        clients[1].send(bgp.notification(6, 4, b""))
        await becomes(lambda: len(collector.last.downs), 1)
        await clients[0].close()
        await becomes(lambda: len(collector.last.downs), 2)
        assert daemon.stop() == 0
        await becomes(lambda: collector.last.terminated, 0)
    messages = [without_table_name(each) for each in collector.messages]
    assert sum(one != other for one, other in zip(messages, collector.messages, strict=True)) == 1
    found = dissected(tmp_path, messages, collector.port, "bmp")
    assert len(found) == len(messages)
    by_type: dict[str, list[Dissected]] = {}
    for each in found:
        assert each.one("bmp.version") == "3"
        by_type.setdefault(each.one("bmp.type"), []).append(each)
    assert by_type.keys() == {MONITORING, STATISTICS, PEER_DOWN, PEER_UP, INITIATION, TERMINATION}
    assert [found[0], found[-1]] == [*by_type[INITIATION], *by_type[TERMINATION]]
    assert found[0].all("bmp.init.type") == ["1", "2"]
    assert found[0].all("bmp.init.info")[0].startswith("routerd ")
    assert found[-1].one("bmp.term.reason") == "0"
    assert {rib_of(each) for each in by_type[MONITORING]} == {PRE, POST, OUT, LOC_RIB}
    announced(by_type[MONITORING])
    sessions(by_type[PEER_UP], by_type[PEER_DOWN])
    statistics(by_type[STATISTICS])


def rib_of(message: Dissected) -> tuple[str, str]:
    return message.one("bmp.peer.type"), message.one("bmp.peer.flags")


def announced(messages: list[Dissected]) -> None:
    """What is announced is what was said, told and decided, in every RIB; and that it ends, and is withdrawn."""
    found: dict[tuple[str, tuple[str, str]], set[str]] = {}
    for each in messages:
        names = found.setdefault((each.one("bmp.peer.ip.addr"), rib_of(each)), set())
        names |= {*each.all("bgp.nlri_prefix"), *each.all("bgp.mp_reach_nlri_ipv6_prefix")}
        assert each.one("bgp.type") == "2"
    own = {"10.10.1.0"}
    assert found == {
        (node(0), PRE): {"172.16.1.0", "192.0.2.0", "fd00:ac10::1"},
        (node(0), POST): {"172.16.1.0", "fd00:ac10::1"},
        (node(0), OUT): {"172.16.2.0"} | own,
        (node(1), PRE): {"172.16.2.0"},
        (node(1), POST): {"172.16.2.0"},
        (node(1), OUT): {"172.16.1.0", "fd00:ac10::1"} | own,
        ("0.0.0.0", LOC_RIB): {"172.16.1.0", "172.16.2.0", "fd00:ac10::1"} | own,
    }
    [rich] = [each for each in messages if "192.0.2.0" in each.all("bgp.nlri_prefix")]
    attribute = "bgp.update.path_attribute"
    assert rich.all(f"{attribute}.as_path_segment.as4") == ["65001", str(WIDE)]
    assert rich.one(f"{attribute}.next_hop") == node(0)
    assert rich.one(f"{attribute}.multi_exit_disc") == "70"
    community = (rich.one(f"{attribute}.community_as"), rich.one(f"{attribute}.community_value"))
    assert community == ("65001", "7")
    assert [rich.one(f"bgp.large_communities.{part}") for part in ("ga", "ldp1", "ldp2")] == [str(WIDE), "1", "2"]
    hops = {
        hop
        for each in messages
        if rib_of(each) == PRE
        for hop in each.all(f"{attribute}.mp_reach_nlri.next_hop.ipv6")
    }
    assert hops == {node6(0)}
    withdrawn = {rib_of(each) for each in messages if "172.16.2.0" in each.all("bgp.withdrawn_prefix")}
    assert withdrawn == {PRE, POST, OUT, LOC_RIB}
    ends = [each for each in messages if each.one("bgp.length") == "23"]
    assert {(each.one("bmp.peer.ip.addr"), rib_of(each)) for each in ends} >= {(node(0), PRE), ("0.0.0.0", LOC_RIB)}


def sessions(ups: list[Dissected], downs: list[Dissected]) -> None:
    """Who came up, with both OPENs, and why each went down: by its NOTIFICATION, or without a word."""
    assert [each.one("bmp.peer.ip.addr") for each in ups] == ["0.0.0.0", node(0), node(1)]
    wide = ups[2]
    assert wide.one("bmp.peer.asn") == str(WIDE)
    assert wide.one("bmp.peer.up.ip.addr") == ROUTER
    assert wide.one("bmp.peer.up.port.local") == "179"
    assert wide.all("bgp.type") == ["1", "1"]
    assert wide.all("bgp.open.myas") == ["65000", "23456"]
    assert wide.all("bgp.cap.4as") == ["65000", str(WIDE)]
    assert [(each.one("bmp.peer.ip.addr"), each.one("bmp.peer.down.reason")) for each in downs] == [
        (node(1), "3"), (node(0), "4"),
    ]  # fmt: skip
    assert (downs[0].one("bgp.notify.major_error"), downs[0].one("bgp.notify.minor_error_cease")) == ("6", "4")


def statistics(messages: list[Dissected]) -> None:
    """The last reports of all that were: routes in each RIB, of each family."""
    for each in messages:
        assert int(each.one("bmp.stats.count")) == len(each.all("bmp.stats.type"))
    of_first = [each for each in messages if each.one("bmp.peer.ip.addr") == node(0)]
    assert "3" in {each.one("bmp.stats.data.routes_adj_rib_in") for each in of_first}
    assert of_first[-1].all("bmp.stats.data.routes_post_per_adj_rib_out.afi")[:1] == ["1"]
    assert any(each.all("bmp.stats.data.routes_loc_rib") for each in messages)
