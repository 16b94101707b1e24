"""Malformed UPDATEs over a real session: what becomes of the session, and of the route in the kernel (RFC 7606)."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator

import pytest

from tests.daemon.harness import CONFIG, Network, Routerd, announcement, becomes, network, node, running
from tests.support import bgp
from tests.support.bgp import Client
from tests.support.netns import needs_root

pytestmark = needs_root

VICTIM, WITNESS = "172.16.1.1", "172.16.1.2"
LISTENER = 20
"""A node that is told what others announce; it is not in the range of the other tests' nodes."""

LISTENING = """
[peer_groups.listeners]
multihop = 2
advertise = ["learned"]

[[peers]]
name = "listener"
address = "10.0.0.85"
group = "listeners"
"""

WITHDRAWN = {
    "ORIGIN 3": "40 01 01 03",
    "ORIGIN empty": "40 01 00",
    "ORIGIN flags": "C0 01 01 00",
    "AS_PATH segment type 0": "40 02 06 00010000fde9",
    "AS_PATH overrun": "40 02 06 02ff0000fde9",
    "AS_PATH AS 0": "40 02 06 020100000000",
    "AS_PATH with an AS_SET": "40 02 10 02010000fde9 01020000fdea0000fdeb",
    "AS_PATH with a confederation": "40 02 0c 03010000fde902010000fde9",
    "MED of 3": "80 04 03 000000",
    "COMMUNITIES of 5": "C0 08 05 ffff000100",
    "EXTENDED COMMUNITIES of 9": "C0 10 09 0002fde90000000100",
    "LARGE COMMUNITY of 13": "C0 20 0d 0000fde9000000010000000200",
    "NEXT_HOP 0.0.0.0": "40 03 04 00000000",
    "NEXT_HOP 127.0.0.1": "40 03 04 7f000001",
    "NEXT_HOP 224.0.0.1": "40 03 04 e0000001",
}

DISCARDED = {
    "ATOMIC_AGGREGATE of 1": "40 06 01 00",
    "AGGREGATOR of 5": "C0 07 05 0000fde90a",
    "AGGREGATOR AS 0": "C0 07 08 000000000a000002",
    "ORIGINATOR_ID of 3": "80 09 03 0a0000",
    "CLUSTER_LIST empty": "80 0a 00",
}

RESETS = {
    "MP_REACH_NLRI with a next hop of 9": (
        "80 0e 1f 0002 01 09 fd0000000000000000 00 80 fd00ac10000000000000000000000001",
        (3, 1),
    ),
    "MP_UNREACH_NLRI cut off": ("80 0f 06 0002 01 80 fd00", (3, 9)),
}


@pytest.fixture(scope="module", name="network")
def _network() -> Iterator[Network]:
    with network() as made:
        yield made


@pytest.fixture(scope="module")
def daemon(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routerd]:
    with running(network.router, tmp_path_factory.mktemp("daemon"), CONFIG + LISTENING) as made:
        yield made


@pytest.fixture
async def peer(daemon: Routerd, network: Network, clients: list[Client]) -> Client:
    """A node whose announcement of both prefixes is in the kernel."""
    client = await network.establish(0)
    clients.append(client)
    client.send(announcement(0, VICTIM, WITNESS))
    for prefix in (VICTIM, WITNESS):
        await network.has(prefix, 0)
    return client


def with_attribute(octets: str, prefix: str) -> bytes:
    """An UPDATE as it should be, but for one attribute, which stands where its type belongs."""
    raw = bytes.fromhex(octets)
    next_hop = ipaddress.IPv4Address(node(0)).packed
    found = {
        1: bgp.attribute(1, b"\0"),
        2: bgp.attribute(2, struct.pack("!BBI", 2, 1, 65001)),
        3: bgp.attribute(3, next_hop),
        raw[1]: raw,
    }
    return bgp.update(b"".join(found[code] for code in sorted(found)), [prefix])


@pytest.mark.parametrize("octets", WITHDRAWN.values(), ids=WITHDRAWN)
async def test_treated_as_withdrawn(daemon: Routerd, network: Network, peer: Client, octets: str) -> None:
    faults = daemon.peer(0)["faults"]
    peer.send(with_attribute(octets, VICTIM))
    await becomes(lambda: network.route(VICTIM), "")
    assert network.legs(WITNESS) == {node(0)}
    assert daemon.peer(0)["faults"] == faults + 1
    assert "treat-as-withdraw" in daemon.peer(0)["reason"]
    await _session_is_up(daemon, network, peer)


@pytest.mark.parametrize("octets", DISCARDED.values(), ids=DISCARDED)
async def test_attribute_discarded(daemon: Routerd, network: Network, peer: Client, octets: str) -> None:
    nhid, faults = network.nhid(VICTIM), daemon.peer(0)["faults"]
    peer.send(with_attribute(octets, VICTIM))
    await becomes(lambda: daemon.peer(0)["faults"], faults + 1)
    assert network.nhid(VICTIM) == nhid
    assert "attribute-discard" in daemon.peer(0)["reason"]
    await _session_is_up(daemon, network, peer)


async def _session_is_up(daemon: Routerd, network: Network, peer: Client) -> None:
    """The session that sent the malformed UPDATE still takes good ones."""
    sessions = daemon.peer(0)["sessions"]
    peer.send(announcement(0, "172.16.1.3", VICTIM))
    for prefix in ("172.16.1.3", VICTIM):
        await network.has(prefix, 0)
    assert (daemon.peer(0)["state"], daemon.peer(0)["sessions"]) == ("established", sessions)
    assert bgp.NOTIFICATION not in [kind for kind, _ in peer.heard]


@pytest.mark.parametrize(("octets", "wanted"), RESETS.values(), ids=RESETS)
async def test_session_reset(
    daemon: Routerd, network: Network, peer: Client, octets: str, wanted: tuple[int, int]
) -> None:
    attributes = bgp.attributes(next_hop=node(0), as_path=[65001])
    peer.send(bgp.update(attributes + bytes.fromhex(octets), [VICTIM]))
    _, body = await peer.expect(bgp.NOTIFICATION)
    assert (body[0], body[1]) == wanted
    await peer.closed()
    await becomes(lambda: network.route(VICTIM) + network.route(WITNESS), "")
    assert daemon.peer(0)["state"] == "waiting"
    assert daemon.peer(0)["reason"] != ""


async def test_unknown_attributes(daemon: Routerd, network: Network, peer: Client, clients: list[Client]) -> None:
    """A transitive one is passed on with the Partial bit (RFC 4271 section 5), another is not."""
    listener = await network.establish(LISTENER, asn=65002)
    clients.append(listener)
    unknown = bgp.attribute(99, b"passed", 0xC0) + bgp.attribute(98, b"kept", 0x80)
    prefix = "172.16.99.99/32"
    peer.send(bgp.update(bgp.attributes(next_hop=node(0), as_path=[65001]) + unknown, [prefix]))
    while True:
        _, body = await listener.expect(bgp.UPDATE)
        if body.endswith(bgp.nlri([prefix])):
            break
    assert bgp.attribute(99, b"passed", 0xE0) in body
    assert b"kept" not in body
    await becomes(lambda: network.legs(prefix), {node(0)})
